"""Give a study the results of an Optuna study."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.events import EventType
from api_schemas.studies import StudyCreate, StudyRead, StudyState
from paretune.bridge_progress import Progress, unwatched
from paretune.client import Client
from paretune.client import requests as calls
from paretune.client.asking import has_ended
from paretune.errors import BridgeError, RequestRefused
from paretune.optuna_bridge.names import INFEASIBLE
from paretune.optuna_bridge.observations import (
    LeftOut,
    Target,
    is_metric_attribute,
    key_of,
    merged,
    read_observation,
)
from paretune.optuna_bridge.sending import Sent, send
from paretune.optuna_bridge.storage import open_storage, read_study
from paretune.optuna_bridge.targets import existing_study, new_study

DEFAULT_BUDGET = 20


@dataclass(frozen=True)
class OptunaImport:
    """What an import did.

    `repeats` counts trials whose parameters an earlier trial has; their mean became one observation.
    `left_out` has a sentence for every reason, `notes` say what differs from what Optuna had.
    """

    study: StudyRead
    imported: int
    already_known: int
    repeats: int
    left_out: tuple[str, ...]
    notes: tuple[str, ...]


def import_study(
    client: Client,
    name: str,
    *,
    storage: str | BaseStorage,
    into: str | None = None,
    budget: int = DEFAULT_BUDGET,
    on_progress: Progress = unwatched,
) -> OptunaImport:
    """Import the finished trials of an Optuna study into a study, or into a new custom one.

    A second import adds nothing twice: what the study has is left out, and within a day the same
    trials make the same new study.

    Args:
        client: Of the server that has the study, or gets it.
        name: The name of the Optuna study.
        storage: An Optuna storage, the URL of one, or the path of a journal file.
        into: Id of a study that exists; without it a new one is made.
        budget: How many trials a new study may propose; past results count for nothing in it.
        on_progress: Called after each request.

    Raises:
        BridgeError: If there is no such study, none of its trials can be taken, or a study of ours
            cannot say what it searched.
    """
    source = read_study(open_storage(storage, must_exist=True), name)
    trials = source.get_trials(deepcopy=False)
    usable = [trial for trial in trials if _has_result(trial)]
    if not usable:
        raise BridgeError(
            f"None of the {len(trials)} trials of {name!r} has a result: {_state_counts(trials)}."
        )
    place = _place(client, source, usable, into=into, budget=budget)
    observations, left_out = _read(trials, place.target)
    if not observations:
        raise BridgeError(
            "\n".join([f"None of the {len(trials)} trials of {name!r} can be taken.", *left_out])
        )
    unique = _unique(observations, place.target)
    study = client.get_study(place.study_id())
    if has_ended(study):
        _insist_all_known(client, study, unique, place.target)
        sent = Sent(imported=0)
    else:
        sent = send(client, study.id, unique, on_progress=on_progress)
    if into is None and study.state is StudyState.PAUSED and _is_untouched(client, study.id):
        client.resume(study.id)
    return OptunaImport(
        study=client.get_study(study.id),
        imported=sent.imported,
        already_known=len(unique) - sent.imported - len(sent.conflicts),
        repeats=len(observations) - len(unique),
        left_out=(*left_out, *sent.conflicts),
        notes=(*place.notes, *_not_carried(usable)),
    )


@dataclass(frozen=True)
class _Place:
    """Where observations go. The id is asked for last: a new study is made only for observations."""

    target: Target
    study_id: Callable[[], str]
    notes: tuple[str, ...] = ()


def _place(
    client: Client, source: optuna.Study, usable: Sequence[FrozenTrial], *, into: str | None, budget: int
) -> _Place:
    if into is not None:
        return _Place(existing_study(source, usable, client.get_study(into)), lambda: into)
    made = new_study(source, usable, budget=budget)
    return _Place(made.target, lambda: _create(client, made.request, usable[0]), made.notes)


def _has_result(trial: FrozenTrial) -> bool:
    return trial.state is TrialState.COMPLETE or trial.constraints.get(INFEASIBLE, 0.0) > 0


def _read(trials: Sequence[FrozenTrial], target: Target) -> tuple[list[ImportedObservation], tuple[str, ...]]:
    """Read every trial; give observations, and a sentence for every reason why others are none."""
    observations: list[ImportedObservation] = []
    examples: dict[str, list[str]] = {}
    for trial in trials:
        read = read_observation(trial, target)
        if isinstance(read, LeftOut):
            examples.setdefault(read.kind, []).append(read.example)
        else:
            observations.append(read)
    return observations, tuple(
        f"Left out, {kind}: {len(found)} ({found[0]})." for kind, found in examples.items()
    )


def _unique(observations: Sequence[ImportedObservation], target: Target) -> list[ImportedObservation]:
    groups: dict[str, list[ImportedObservation]] = {}
    for observation in observations:
        groups.setdefault(key_of(observation, target), []).append(observation)
    return [group[0] if len(group) == 1 else merged(group) for group in groups.values()]


def _create(client: Client, request: StudyCreate, first: FrozenTrial) -> str:
    """Make the study, once for the same trials; give its id."""
    # Not by its time: that is in the time zone of the reader.
    content = f"{first.number} {first.params} {first.values}\0{request.model_dump_json()}"
    key = f"optuna-{hashlib.sha256(content.encode(errors='backslashreplace')).hexdigest()}"
    study = client.send(replace(calls.create_study(request), idempotency_key=key))
    try:
        return client.get_study(study.id).id
    except RequestRefused as refused:
        if refused.problem.status != HTTPStatus.NOT_FOUND:
            raise
    # It was made under this key, and deleted since.
    return client.create_study(request).id


def _is_untouched(client: Client, study_id: str) -> bool:
    """Return whether a study that was created paused for an import has never been resumed."""
    return all(event.type is not EventType.STUDY_RESUMED for event in client.past_events(study_id))


def _insist_all_known(
    client: Client, study: StudyRead, observations: Sequence[ImportedObservation], target: Target
) -> None:
    known = {
        key_of(ImportedObservation(parameters=trial.parameters, infeasible="known"), target)
        for trial in client.trials(study.id)
    }
    new = sum(key_of(observation, target) not in known for observation in observations)
    if new:
        raise BridgeError(
            f"Study {study.id} is {study.state} and takes no more results; {new} of "
            f"{len(observations)} are new. Go on with it first (paretune extend {study.id} --trials N), or "
            "import into another study (--into)."
        )


def _not_carried(trials: Sequence[FrozenTrial]) -> list[str]:
    """Return what trials have that an observation cannot hold."""
    notes = []
    with_curves = sum(bool(trial.intermediate_values) for trial in trials)
    if with_curves:
        notes.append(
            f"Intermediate values are not taken: an observation is a result ({with_curves} have some)."
        )
    attributes = dict.fromkeys(
        name
        for trial in trials
        for name, value in trial.user_attrs.items()
        if not name.startswith("paretune:") and not is_metric_attribute(name, value)
    )
    if attributes:
        shown = ", ".join(map(repr, list(attributes)[:5])) + (", ..." if len(attributes) > 5 else "")
        notes.append(f"User attributes that are no metrics are not taken: {shown}.")
    return notes


def _state_counts(trials: Sequence[FrozenTrial]) -> str:
    counts = {state.name: sum(trial.state is state for trial in trials) for state in TrialState}
    return ", ".join(f"{count} {name}" for name, count in counts.items() if count) or "it is empty"
