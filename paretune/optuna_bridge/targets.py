"""Settle what the trials of an Optuna study must fit: a study that exists, or the one made for them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from api_schemas.objectives import KNOWN_METRICS, ConstraintOp, Direction, Objective, OutcomeConstraint
from api_schemas.search_space import SearchSpace
from api_schemas.studies import Budget, StudyCreate, StudyKind, StudyRead, StudyState
from paretune.errors import BridgeError
from paretune.optuna_bridge.names import (
    INFEASIBLE,
    STUDY,
    ExportedStudy,
    constraint_key,
    constraint_names,
    given_name,
    metric_names,
    parameter_names,
)
from paretune.optuna_bridge.observations import Target
from paretune.optuna_bridge.spaces import constants, distributions, read_space, sentence_of
from paretune.printable import encodable

LONGEST_DISPLAY_NAME = 200


@dataclass(frozen=True)
class NewStudy:
    """The study to make for trials, what they must fit, and what differs from what Optuna searched."""

    request: StudyCreate
    target: Target
    notes: tuple[str, ...]


def new_study(source: optuna.Study, trials: Sequence[FrozenTrial], *, budget: int) -> NewStudy:
    """Make a custom study of what the trials searched and what they were weighed by.

    Raises:
        BridgeError: If no study of ours can say it.
    """
    exported = _exported(source)
    notes: tuple[str, ...] = ()
    if exported is None:
        complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
        read = read_space(complete)
        metrics = _constraint_metrics(complete, known=())
        exported = ExportedStudy(
            search_space=read.search_space,
            objectives=tuple(
                Objective(metric=metric, direction=direction)
                for metric, direction in zip(_metrics_of(source), _directions(source), strict=True)
            ),
            constraints=tuple(
                OutcomeConstraint(metric=metric, op=ConstraintOp.AT_MOST, bound=0.0)
                for metric in metrics.values()
            ),
        )
        notes = read.notes
    display_name = encodable(source.study_name.replace("\0", ""))[:LONGEST_DISPLAY_NAME]
    try:
        request = StudyCreate.model_validate(
            {
                "kind": StudyKind.CUSTOM,
                # Nothing is proposed before the results are there.
                "state": StudyState.PAUSED,
                "display_name": display_name or "a study of Optuna",
                "search_space": {"parameters": exported.search_space.parameters},
                "objectives": exported.objectives,
                "constraints": exported.constraints,
                "budget": Budget(trials=budget),
            }
        )
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc']))}: {sentence_of(item)}" for item in error.errors()]
        raise BridgeError("\n".join([f"No study can be made of {source.study_name!r}:", *lines])) from error
    target = _target(
        exported, trials, metrics=[item.metric for item in exported.objectives], configuration_of=None
    )
    return NewStudy(request, target, notes)


def existing_study(source: optuna.Study, trials: Sequence[FrozenTrial], study: StudyRead) -> Target:
    """Match the objectives of an Optuna study with those of a study that exists.

    They are matched by name where Optuna has names for them, else by position.

    Raises:
        BridgeError: If they do not match.
    """
    metrics = _matched(source, study)
    weighed = ExportedStudy(
        search_space=study.search_space, objectives=study.objectives, constraints=study.constraints
    )
    return _target(weighed, trials, metrics=metrics, configuration_of=study)


def _target(
    weighed: ExportedStudy,
    trials: Sequence[FrozenTrial],
    *,
    metrics: Sequence[str],
    configuration_of: StudyRead | None,
) -> Target:
    fixed = constants(trials)
    names = parameter_names(name for name in distributions(trials) if name not in fixed)
    return Target(
        search_space=weighed.search_space,
        objectives=weighed.objectives,
        constraints=weighed.constraints,
        configuration=None if configuration_of is None else configuration_of.configuration,
        backbone_shape=None if configuration_of is None else configuration_of.backbone_shape,
        parameters=names,
        metrics=metrics,
        constraint_metrics=_constraint_metrics(trials, known=map(constraint_key, weighed.constraints)),
        constants=frozenset(fixed),
        switches=_switches(weighed.search_space, set(names.values())),
    )


def _switches(search_space: SearchSpace, of_optuna: Collection[str]) -> dict[str, str]:
    """Find the switches that an import made: no parameters of Optuna, named after what they say."""
    return {
        item.when.parameter: item.name
        for item in search_space.parameters
        if item.when is not None
        and item.when.values == (True,)
        and item.when.parameter not in of_optuna
        and item.when.parameter.rstrip("_") == given_name(item.name).rstrip("_")
    }


def _exported(source: optuna.Study) -> ExportedStudy | None:
    mark = source.user_attrs.get(STUDY)
    if mark is None:
        return None
    try:
        return ExportedStudy.model_validate(mark)
    except ValidationError as error:
        raise BridgeError(
            f"The attribute '{STUDY}' of {source.study_name!r} is not what an export of this version writes. "
            "Export the study again, or import into a study that fits."
        ) from error


def _metrics_of(source: optuna.Study) -> list[str]:
    names = source.metric_names
    if names is None:
        many = len(source.directions) > 1
        return [f"value_{place}" if many else "value" for place in range(len(source.directions))]
    if len(set(names)) < len(names):
        raise BridgeError(f"Two objectives of {source.study_name!r} have one name: {', '.join(names)}.")
    return list(metric_names(names).values())


def _directions(source: optuna.Study) -> list[Direction]:
    return [Direction(direction.name.lower()) for direction in source.directions]


def _matched(source: optuna.Study, study: StudyRead) -> list[str]:
    theirs = dict(zip(_metrics_of(source), _directions(source), strict=True))
    if source.metric_names is None:
        if len(theirs) != len(study.objectives):
            raise _no_match(theirs, study)
        theirs = dict(zip((item.metric for item in study.objectives), theirs.values(), strict=True))
    else:
        theirs = {_as_in(study, name, theirs): direction for name, direction in theirs.items()}
    for objective in study.objectives:
        if objective.metric not in theirs:
            if study.configuration is not None and objective.metric in KNOWN_METRICS:
                continue
            raise _no_match(theirs, study)
        if theirs[objective.metric] is not objective.direction:
            raise _no_match(theirs, study)
    return list(theirs)


def _as_in(study: StudyRead, name: str, names: Collection[str]) -> str:
    """Return the name of an objective; the study may have it in small letters."""
    ours, small = {item.metric for item in study.objectives}, name.lower()
    return small if name not in ours and small in ours and small not in names else name


def _no_match(theirs: Mapping[str, Direction], study: StudyRead) -> BridgeError:
    ours = ", ".join(f"{item.direction} {item.metric}" for item in study.objectives)
    there = ", ".join(f"{direction} {metric}" for metric, direction in theirs.items())
    return BridgeError(
        f"The objectives differ: study {study.id} has {ours}; the Optuna study has {there}. "
        "Name them there with `study.set_metric_names`, or import into a new study."
    )


def _constraint_metrics(trials: Sequence[FrozenTrial], *, known: Iterable[str]) -> dict[str, str]:
    """Return each of Optuna's constraints that is none of ours a metric, which must be at most 0."""
    skipped = {INFEASIBLE, *known}
    keys = dict.fromkeys(key for trial in trials for key in trial.constraints if key not in skipped)
    return dict(zip(keys, constraint_names(keys), strict=True))
