"""A new study from an old one: what the old one asked for, edited; and what it found, if that is wanted."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from pydantic import JsonValue, ValidationError
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import StudyCreate, StudyRead
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import TrialState
from service.ids import new_id
from service.models import Replicate, Study, Trial
from service.studies import repository
from service.studies.configuration_keys import configuration_key
from service.studies.event_log import record_event
from service.studies.front_history import store_front

IMPORTED = "imported"
"""Who proposed an imported trial, as far as the new study knows."""

OF_THE_SOURCE = {"id", "study_id", "trial_id", "number", "generated_by", "explanation", "created_at"}


def edited(source: StudyRead, edits: dict[str, JsonValue]) -> StudyCreate:
    """Give the study that would have been posted: the source's fields under a merge patch (RFC 7396).

    Raises:
        RequestValidationError: If the result is no study; its pointers are into the result.
    """
    shown = source.model_dump(mode="json", by_alias=True)
    asked = {name: value for name, value in shown.items() if name in StudyCreate.model_fields}
    try:
        return StudyCreate.model_validate(merge_patch(asked, edits))
    except ValidationError as error:
        found = [{**item, "loc": ("body", *item["loc"])} for item in error.errors(include_url=False)]
        raise RequestValidationError(found) from error


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
    base = TrialConfiguration.model_validate(study.configuration)
    search_space = SearchSpace.model_validate(study.search_space)
    weighed = {item["metric"] for item in [*study.objectives, *study.constraints]}
    trials = repository.trials_in(session, source.id, [TrialState.SUCCEEDED, TrialState.INFEASIBLE])
    replicates = repository.replicates_of(session, [trial.id for trial in trials])
    last_accepted: Trial | None = None
    for trial in trials:
        unweighable = trial.state is TrialState.SUCCEEDED and not weighed <= trial.metrics.keys()
        parameters = None if unweighable else _within(search_space, base, trial)
        if parameters is None:
            continue
        imported = _copied(session, study, trial, parameters, replicates[trial.id])
        last_accepted = imported if trial.state is TrialState.SUCCEEDED else last_accepted
    if last_accepted is not None:
        store_front(session, study, last_accepted)


def _within(search_space: SearchSpace, base: TrialConfiguration, trial: Trial) -> Parameterization | None:
    """Give the parameterization that yields the trial's configuration, or None if there is none."""
    values = {
        parameter.name: trial.parameters.get(parameter.name, _value_at(trial.configuration, parameter.name))
        for parameter in search_space.parameters
    }
    active = search_space.active(values)
    parameters = {parameter.name: parameter for parameter in search_space.parameters}
    if not all(parameters[name].contains(value) for name, value in active.items()):
        return None
    same = configuration_key(TrialConfiguration.model_validate(trial.configuration))
    return active if configuration_key(patch(base, active)) == same else None


def _value_at(node: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(node, list):
            node = node[int(part)] if part.isdigit() and int(part) < len(node) else None
        else:
            node = node.get(part) if isinstance(node, dict) else None
    return node


def _copied(
    session: Session, study: Study, trial: Trial, parameters: Parameterization, replicates: list[Replicate]
) -> Trial:
    imported = Trial(
        **_columns(trial, but=OF_THE_SOURCE | {"parameters", "proposal_seconds"}),
        id=new_id("trl"),
        study_id=study.id,
        number=study.trials_created + study.trials_imported,
        generated_by=IMPORTED,
        parameters=parameters,
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
    record_event(session, study, EventType.TRIAL_IMPORTED, trial=imported, source_trial_id=trial.id)
    return imported


def _columns(row: Trial | Replicate, *, but: set[str]) -> dict[str, Any]:
    return {
        column.key: getattr(row, column.key) for column in row.__mapper__.columns if column.key not in but
    }
