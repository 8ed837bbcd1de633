"""A new study from an old one: what the old one asked for, edited; and what it found, if that is wanted."""

from collections.abc import Callable
from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue, ValidationError
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.explanations import causes, explained, place_in
from api_schemas.json_values import Identity, identity
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import StudyCreate, StudyRead
from api_schemas.trials import IMPORTED, TrialState
from service.ids import new_id
from service.models import Replicate, Study, Trial
from service.studies import repository
from service.studies.canonical_trials import CanonicalTrial, canonical_trials
from service.studies.default_starting_points import default_starting_points
from service.studies.event_log import record_event
from service.studies.front_history import store_front
from service.studies.reported_metrics import metric_errors
from service.studies.stored_spaces import search_space_of
from service.validation_errors import EXPLAINED, MOST_ERRORS

OF_THE_SOURCE = {
    "id",
    "study_id",
    "number",
    "generated_by",
    "proposal_seconds",
    "known_results",
    "explanation",
    "parameters",
    "configuration",
    "configuration_key",
    "created_at",
}


def edited(source: StudyRead, edits: dict[str, JsonValue]) -> StudyCreate:
    """Give the study that would have been posted: the source's fields under a merge patch (RFC 7396).

    Raises:
        RequestValidationError: If the result is no study; its pointers are into the result.
    """
    shown = source.model_dump(mode="json", by_alias=True)
    asked = {name: value for name, value in shown.items() if name in StudyCreate.model_fields}
    asked["starting_points"] = _own_starting_points(source)
    # Where the source stands is no wish of its owner's.
    del asked["state"]
    wanted = merge_patch(asked, edits)
    try:
        return StudyCreate.model_validate(wanted)
    except ValidationError as error:
        schema = StudyCreate.model_json_schema()
        found = [
            {"type": EXPLAINED, "loc": ("body", *place_in(wanted, item)), "msg": explained(item, schema)}
            for item in causes(error.errors(include_url=False)[:MOST_ERRORS])
        ]
        raise RequestValidationError(found) from error


def _own_starting_points(source: StudyRead) -> list[Parameterization]:
    """Leave out the default ones: the new study gets its own, which fit its space."""
    configuration, shape = source.configuration, source.backbone_shape
    if configuration is None or shape is None or not source.proposals.default_starting_points:
        return list(source.starting_points)
    added = list(default_starting_points(source.search_space, configuration, shape=shape))
    return [point for point in source.starting_points if point not in added]


def merge_patch(target: Any, changes: Any) -> Any:
    """Merge objects field by field, where null removes; anything else replaces (RFC 7396, section 2)."""
    if not isinstance(changes, dict):
        return changes
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged


def import_trials(session: Session, source: Study, study: Study) -> None:
    """Give a new study the source's results that it could have found itself.

    Those are the SUCCEEDED and INFEASIBLE trials whose configuration a parameterization of the new space
    gives, down to task, recipe and seed, with every metric that the new study weighs. They keep
    their metrics and replicates; measurements and files stay with the source. They cost no budget.
    """
    search_space = search_space_of(study)
    turn = canonical_trials(study)
    trials = repository.trials_in(session, source.id, [TrialState.SUCCEEDED, TrialState.INFEASIBLE])
    replicates = repository.replicates_of(session, [trial.id for trial in trials])
    accepted: list[Trial] = []
    for trial in trials:
        known = _within(search_space, turn, trial) if _can_be_weighed(study, trial) else None
        if known is None:
            continue
        imported = _copied(session, study, trial, known, replicates[trial.id])
        if trial.state is TrialState.SUCCEEDED:
            accepted.append(imported)
    if accepted:
        store_front(session, study, accepted)


def _can_be_weighed(study: Study, trial: Trial) -> bool:
    return trial.state is TrialState.INFEASIBLE or not any(metric_errors(study, trial.metrics, pointer=""))


def _within(
    search_space: SearchSpace, turn: Callable[[Parameterization], CanonicalTrial], trial: Trial
) -> CanonicalTrial | None:
    """Give the trial of the new study that trains the same, or None if there is none."""
    values = {
        parameter.name: trial.parameters.get(parameter.name, _value_at(trial.configuration, parameter.name))
        for parameter in search_space.parameters
    }
    active = search_space.canonical(values)
    if not all(search_space.by_name[name].contains(value) for name, value in active.items()):
        return None
    known = turn(active)
    same = known.key == trial.configuration_key or (
        known.configuration is None and _numbered(known.parameters) == _numbered(trial.parameters)
    )
    return known if same else None


def _numbered(parameters: Parameterization) -> dict[str, Identity]:
    """Return values as their identities: 1 and 1.0 are one where a parameter's type was edited."""
    return {name: identity(value) for name, value in parameters.items()}


def _value_at(node: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _copied(
    session: Session, study: Study, trial: Trial, known: CanonicalTrial, replicates: list[Replicate]
) -> Trial:
    imported = Trial(
        **_columns(trial, but=OF_THE_SOURCE),
        id=new_id("trl"),
        study_id=study.id,
        number=study.trials_created + study.trials_imported,
        generated_by=IMPORTED,
        parameters=known.parameters,
        configuration=known.configuration,
        configuration_key=known.key,
        proposal_seconds=0.0,
    )
    study.trials_imported += 1
    session.add(imported)
    session.flush()
    session.add_all(
        Replicate(
            **_columns(replicate, but={"study_id", "trial_id", "created_at"}),
            study_id=study.id,
            trial_id=imported.id,
        )
        for replicate in replicates
        if replicate.state not in (TrialState.QUEUED, TrialState.RUNNING)
    )
    record_event(
        session,
        study,
        EventType.TRIAL_IMPORTED,
        trial=imported,
        state=imported.state,
        source_trial_id=trial.id,
    )
    return imported


def _columns(row: Trial | Replicate, *, but: set[str]) -> dict[str, Any]:
    return {
        column.key: getattr(row, column.key) for column in row.__mapper__.columns if column.key not in but
    }
