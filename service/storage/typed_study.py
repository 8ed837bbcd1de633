"""The JSON columns of a study row as the types they were stored from. Knows no session.

Each was checked before it was stored: a process validates it once, and again only after it has changed.
Validating a large search space takes longer than the rest of most requests.
"""

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any, TypeVar

from api_schemas.acceptance import AcceptedTrial
from api_schemas.backbones import BackboneShape
from api_schemas.importance import Importance
from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.one_shot import OneShotRun
from api_schemas.proposals import ProposalSettings
from api_schemas.races import RaceProgress
from api_schemas.search_space import SearchSpace
from api_schemas.studies import StudyKind
from api_schemas.trial_configuration import TrialConfiguration
from service.expressions.parsing import parse
from service.expressions.tree import Node
from service.storage.models import Study

Typed = TypeVar("Typed")

MOST_KEPT = 16
"""Studies kept at a time: the largest search spaces take a few megabytes each."""

_kept: OrderedDict[str, dict[str, tuple[Any, Any]]] = OrderedDict()
"""By study and column: the JSON that was read, and its typed value."""

_lock = Lock()


def search_space(study: Study) -> SearchSpace:
    """Return the search space of a study."""
    return _typed(study, "search_space", SearchSpace.model_validate)


def objectives(study: Study) -> tuple[Objective, ...]:
    """Return the objectives of a study; those of a custom study are marked as the caller's."""
    return _typed(
        study,
        "objectives",
        lambda items: tuple(
            objective.of_the_caller() if study.kind == StudyKind.CUSTOM else objective
            for objective in map(Objective.model_validate, items)
        ),
    )


def constraints(study: Study) -> tuple[OutcomeConstraint, ...]:
    """Return the outcome constraints of a study."""
    return _typed(study, "constraints", lambda items: tuple(map(OutcomeConstraint.model_validate, items)))


def expressions(study: Study) -> dict[str, Node]:
    """Return what computes the known metrics of a custom study, by metric; nothing in one of kind `peft`."""
    named: tuple[OutcomeConstraint | Objective, ...] = (*constraints(study), *objectives(study))
    return {item.metric: parse(item.known) for item in named if item.known is not None}


def named_metrics(study: Study) -> tuple[str, ...]:
    """Return the metrics that the objectives and constraints of a study name, each once."""
    return tuple(dict.fromkeys(item["metric"] for item in [*study.objectives, *study.constraints]))


def proposals(study: Study) -> ProposalSettings:
    """Return how a study's configurations are proposed."""
    return _typed(study, "proposals", ProposalSettings.model_validate)


def configuration(study: Study) -> TrialConfiguration | None:
    """Return what the trials of a study have in common; None in a custom study."""
    return _typed(study, "configuration", _unless_none(TrialConfiguration.model_validate))


def backbone_shape(study: Study) -> BackboneShape | None:
    """Return the shape of a study's backbone; None in a custom study."""
    return _typed(study, "backbone_shape", _unless_none(BackboneShape.model_validate))


def reference_point(study: Study) -> tuple[float, ...] | None:
    """Return the reference point of a study, in the order of its objectives; None until it is settled."""
    return None if study.reference_point is None else tuple(study.reference_point)


def race_progress(study: Study) -> RaceProgress | None:
    """Return where the race of a study stands; None before it begins."""
    return _typed(study, "race_progress", _unless_none(RaceProgress.model_validate))


def accepted(study: Study) -> AcceptedTrial | None:
    """Return the trial that the owner of a study has decided for; None before that."""
    return _typed(study, "accepted", _unless_none(AcceptedTrial.model_validate))


def one_shot(study: Study) -> OneShotRun | None:
    """Return the super-network of a study; None where none was asked for."""
    return _typed(study, "one_shot", _unless_none(OneShotRun.model_validate))


def importance(study: Study) -> Importance | None:
    """Return what matters to a study's objectives, as last estimated; None before the first estimate."""
    return _typed(study, "importance", _unless_none(Importance.model_validate))


def _typed(study: Study, column: str, read: Callable[[Any], Typed]) -> Typed:
    stored = getattr(study, column)
    with _lock:
        columns = _kept.setdefault(study.id, {})
        _kept.move_to_end(study.id)
        if len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    json, value = columns.get(column, (None, None))
    if value is None or (json is not stored and json != stored):
        value = read(stored)
    # The newest JSON, so that further reads of the same row compare by identity.
    columns[column] = (stored, value)
    typed: Typed = value
    return typed


def _unless_none(read: Callable[[Any], Typed]) -> Callable[[Any], Typed | None]:
    return lambda stored: None if stored is None else read(stored)
