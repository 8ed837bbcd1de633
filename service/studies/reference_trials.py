"""The trials that a study's others are compared with: the head alone, and LoRA of rank 8. Reads only.

LoRA of rank 8 on queries and values in every layer is what people start from (arXiv 2106.09685); the
default of a study is its first trial of that kind.
"""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from api_schemas.peft.lora import Lora
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration, canonical
from api_schemas.trials import TrialState
from service.storage.models import Study, Trial

DEFAULT_RANK = 8


class ReferenceTrials(NamedTuple):
    """Ids of trials that succeeded: `default` is None where there is none."""

    default: str | None
    head_only: frozenset[str]


def reference_trials(session: Session, study: Study) -> ReferenceTrials:
    """Return the trials that the others are compared with; a custom study has none."""
    if study.configuration is None:
        return ReferenceTrials(None, frozenset())
    head_only = session.scalars(select(Trial.id).where(*_succeeded(study), _trains_the_head_alone()))
    return ReferenceTrials(default_trial(session, study), frozenset(head_only))


def default_trial(session: Session, study: Study) -> str | None:
    """Return the id of the first trial that trained the default and succeeded; None if there is none."""
    if study.configuration is None:
        return None
    may_be = _of_the_rank(session, study)
    return next((trial_id for trial_id, configuration in may_be if is_default(configuration)), None)


def is_default(configuration: TrialConfiguration) -> bool:
    """Return whether a configuration trains LoRA of rank 8 on queries and values in every layer."""
    if configuration.architecture is not None:
        return False
    peft = canonical(configuration).peft
    if not peft.active_layers or not all(peft.active_layers):
        return False
    if peft.method is PeftMethod.LORA:
        plain = LibrarySettings(rank=DEFAULT_RANK)
        return (peft.library.rank, peft.library.targets) == (plain.rank, plain.targets)
    if peft.method is not PeftMethod.MODULES:
        return False
    wanted = {"lora": Lora(rank=DEFAULT_RANK).sizes_at(0)}
    return all(_sizes_at(peft, layer) == wanted for layer in range(len(peft.active_layers)))


def _sizes_at(peft: Peft, layer: int) -> dict[str, Mapping[str, int]]:
    modules = peft.own_modules().items()
    return {name: sizes for name, module in modules if (sizes := module.sizes_at(layer))}


def _trains_the_head_alone() -> ColumnElement[bool]:
    # A canonical configuration has no active layer then, and a list of them wherever layers are known.
    alone: ColumnElement[bool] = Trial.configuration["peft"]["active_layers"].contained_by([False])
    return alone


def _of_the_rank(session: Session, study: Study) -> Iterator[tuple[str, TrialConfiguration]]:
    peft = Trial.configuration["peft"]
    may_be = or_(
        peft["lora"]["rank"].as_integer() == DEFAULT_RANK, peft["method"].as_string() == PeftMethod.LORA
    )
    query = select(Trial.id, Trial.configuration).where(*_succeeded(study), may_be).order_by(Trial.number)
    for trial_id, configuration in session.execute(query):
        yield trial_id, TrialConfiguration.model_validate(configuration)


def _succeeded(study: Study) -> tuple[ColumnElement[bool], ...]:
    return Trial.study_id == study.id, Trial.state == TrialState.SUCCEEDED
