"""Every call of the API as data: what to send, how to read the answer, how patient to be. Sends nothing."""

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Protocol, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, JsonValue, RootModel
from pydantic_core import PydanticSerializationError

from api_schemas.ask_and_tell import (
    AttemptRequest,
    CompletionRequest,
    ImportedObservation,
    ImportRequest,
    ImportResult,
    MeasurementReport,
    SuggestedTrial,
    SuggestedTrials,
    SuggestRequest,
    TrialSignal,
)
from api_schemas.events import EventPage, EventRead
from api_schemas.importance import Importance
from api_schemas.module_maps import ModuleMaps
from api_schemas.pareto import FrontBasis, HypervolumeHistory, ParetoFront
from api_schemas.recommendation import Recommendation
from api_schemas.runs import RunColumns
from api_schemas.slices import SliceRead
from api_schemas.studies import StudyCreate, StudyPage, StudyRead
from api_schemas.study_changes import StudyClone, StudyExtension, StudyUpdate
from api_schemas.study_validation import StudyValidation
from api_schemas.tasks import TaskFile, TaskFileList
from api_schemas.trials import TrialPage, TrialRead
from paretune.errors import CannotBeSent

Value = TypeVar("Value")
Item = TypeVar("Item")
Answer = TypeVar("Answer", bound=BaseModel)


@dataclass(frozen=True)
class Patience:
    """How many seconds to go on asking a server that does not answer, and one that has no time now."""

    unreachable_seconds: float
    busy_seconds: float


NO_CHARACTER = (
    "a text holds half a surrogate pair, which is no character. Decode what you read with its own encoding, "
    "or with errors='replace'."
)
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
USUAL = Patience(unreachable_seconds=2.0, busy_seconds=60.0)
RESULT = Patience(unreachable_seconds=120.0, busy_seconds=120.0)
"""A result took long to make."""
WAITING = Patience(unreachable_seconds=60.0, busy_seconds=60.0)
"""A client that waits for trials or for an end also waits for a server that restarts."""
PREPARING = Patience(unreachable_seconds=2.0, busy_seconds=300.0)
PREPARING_TIMEOUT = httpx.Timeout(30.0, read=300.0)
"""Before the server answers it may download what a study is about."""
ONCE = Patience(unreachable_seconds=0.0, busy_seconds=0.0)


@dataclass(frozen=True)
class Request(Generic[Value]):
    """One call. Repeating it is harmless: reads change nothing, and a POST has a key of its own.

    Of `gone_when_repeated`, a repetition may find nothing, because a try whose answer was lost did it.
    """

    method: str
    path: str
    parse: Callable[[bytes], Value]
    query: Mapping[str, str | Sequence[str]] = field(default_factory=dict)
    body: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    patience: Patience = USUAL
    timeout: httpx.Timeout | None = None
    gone_when_repeated: bool = False
    idempotency_key: str = field(default_factory=lambda: uuid.uuid4().hex)

    def arguments(self) -> dict[str, Any]:
        """Return the arguments of httpx's `request`."""
        headers = dict(self.headers)
        if self.method == "POST":
            headers["Idempotency-Key"] = self.idempotency_key
        content = None
        if self.body is not None:
            headers["Content-Type"] = "application/json"
            content = _encoded(self.body)
        for value in self.query.values():
            for text in (value,) if isinstance(value, str) else value:
                _checked(text)
        timeout = {} if self.timeout is None else {"timeout": self.timeout}
        return {
            "method": self.method,
            "url": self.path,
            "params": dict(self.query),
            "headers": headers,
            "content": content,
            **timeout,
        }


@dataclass(frozen=True)
class Page(Generic[Item]):
    """A part of a list, and the token that asks for the next part."""

    items: Sequence[Item]
    next_token: str | None


class _Listed(Protocol):
    """A page as the server sends it."""

    @property
    def next_page_token(self) -> str | None: ...

    @classmethod
    def model_validate_json(cls, json_data: bytes, /) -> Self: ...


Listed = TypeVar("Listed", bound=_Listed)


def listing(
    path: str, schema: type[Listed], items: Callable[[Listed], Sequence[Item]], **query: str
) -> Request[Page[Item]]:
    """Return the request of the first page of a list; `items` takes its part out of a page."""

    def parse(content: bytes) -> Page[Item]:
        page = schema.model_validate_json(content)
        return Page(items(page), page.next_page_token)

    return Request("GET", path, parse, query=query)


def page_after(request: Request[Page[Item]], token: str) -> Request[Page[Item]]:
    """Return the request of the page that a token stands for."""
    return replace(request, query={**request.query, "page_token": token})


def create_study(study: StudyCreate) -> Request[StudyRead]:
    """Register a study."""
    return _prepared("/v1/studies", body=study)


def create_study_from(document: Mapping[str, JsonValue]) -> Request[StudyRead]:
    """Register a study as it was written, whatever this client knows of studies: the server judges it."""
    body = RootModel[dict[str, JsonValue]](dict(document))
    return _prepared("/v1/studies", body=body)


def validate_study(study: StudyCreate) -> Request[StudyValidation]:
    """Check a study as registering it would, and store nothing."""
    request = _post("/v1/studies:validate", StudyValidation, body=study, patience=PREPARING)
    return replace(request, timeout=PREPARING_TIMEOUT)


def get_study(study_id: str) -> Request[StudyRead]:
    """Read a study."""
    return _get(_study(study_id), StudyRead)


def awaited_study(study_id: str) -> Request[StudyRead]:
    """Read a study whose end is waited for."""
    return replace(get_study(study_id), patience=WAITING)


def studies() -> Request[Page[StudyRead]]:
    """Read every study, newest first."""
    return listing("/v1/studies", StudyPage, lambda page: page.studies)


def trials(study_id: str) -> Request[Page[TrialRead]]:
    """Read every trial of a study, by number."""
    return listing(f"{_study(study_id)}/trials", TrialPage, lambda page: page.trials, page_size="200")


def get_trial(study_id: str, trial_id: str) -> Request[TrialRead]:
    """Read a trial."""
    return _get(f"{_study(study_id)}/trials/{segment(trial_id)}", TrialRead)


def pareto_front(
    study_id: str, *, by: FrontBasis | None = None, sequence: int | None = None
) -> Request[ParetoFront]:
    """Read the front as observed or, if left out, as believed where noisy; a former one by `sequence`."""
    number = None if sequence is None else str(sequence)
    return _get(f"{_study(study_id)}/pareto_front", ParetoFront, by=by, sequence=number)


def hypervolume_history(study_id: str) -> Request[HypervolumeHistory]:
    """Read the hypervolume after each accepted result."""
    return _get(f"{_study(study_id)}/hypervolume_history", HypervolumeHistory)


def recommendation(
    study_id: str, *, at_most: Sequence[str] = (), at_least: Sequence[str] = (), weights: Sequence[str] = ()
) -> Request[Recommendation]:
    """Choose one point of the front by bounds or by weights, each as `METRIC:NUMBER`; else its knee."""
    path = f"{_study(study_id)}/recommendation"
    return _get(path, Recommendation, at_most=at_most, at_least=at_least, weights=weights)


def importance(study_id: str) -> Request[Importance]:
    """Read how much each parameter matters to each objective."""
    return _get(f"{_study(study_id)}/importance", Importance)


def read_slice(
    study_id: str, *, objective: str | None = None, parameter: str | None = None, second: str | None = None
) -> Request[SliceRead]:
    """Read how the models see an objective along a parameter or over two, with all others held."""
    path = f"{_study(study_id)}/slice"
    return _get(path, SliceRead, objective=objective, parameter=parameter, second=second)


def runs(study_id: str, *, trial_id: str | None = None) -> Request[RunColumns]:
    """Read every attempt of a study's trials, or of one: which worker ran it, when, and how it ended."""
    return _get(f"{_study(study_id)}/runs", RunColumns, trial_id=trial_id)


def module_maps(study_id: str, *, trial_id: str | None = None) -> Request[ModuleMaps]:
    """Read which modules the trials of the observed front, or one trial, train in which layer."""
    return _get(f"{_study(study_id)}/module_maps", ModuleMaps, trial_id=trial_id)


def pause(study_id: str) -> Request[StudyRead]:
    """Start no more trials; running ones end."""
    return _post(f"{_study(study_id)}:pause", StudyRead)


def resume(study_id: str) -> Request[StudyRead]:
    """Go on with a paused study."""
    return _post(f"{_study(study_id)}:resume", StudyRead)


def cancel(study_id: str) -> Request[StudyRead]:
    """Cancel a study."""
    return _post(f"{_study(study_id)}:cancel", StudyRead)


def update(study_id: str, changes: StudyUpdate) -> Request[StudyRead]:
    """Change settings of a study, whatever others have changed of it."""
    parse = StudyRead.model_validate_json
    return Request("PATCH", _study(study_id), parse, body=changes, headers={"If-Match": "*"})


def extend(study_id: str, *, trials: int) -> Request[StudyRead]:
    """Add trials to a study's budget; one that has succeeded goes on."""
    body = StudyExtension(trials=trials)
    return _post(f"{_study(study_id)}:extend", StudyRead, body=body)


def clone(
    study_id: str, *, edits: Mapping[str, JsonValue] | None = None, import_trials: bool = False
) -> Request[StudyRead]:
    """Register a study like this one under a merge patch (RFC 7396), from its results if you want."""
    body = StudyClone(edits=dict(edits or {}), import_trials=import_trials)
    return _prepared(f"{_study(study_id)}:clone", body=body)


def delete(study_id: str) -> Request[None]:
    """Delete an ended study, its trials and their files."""
    return Request("DELETE", _study(study_id), lambda _: None, gone_when_repeated=True)


def past_events(study_id: str, *, after: int = 0) -> Request[Page[EventRead]]:
    """Read what has happened to a study so far, oldest first, from the one after a number."""
    path = f"{_study(study_id)}/events"
    return listing(path, EventPage, lambda page: page.events, after=str(after), page_size="500")


def suggest_trials(
    study_id: str,
    *,
    worker_id: str,
    count: int = 1,
    wait_seconds: float = 0.0,
    lease_seconds: float | None = None,
) -> Request[SuggestedTrials]:
    """Get trials to run; a worker that asks again first gets those that it still holds."""
    body = SuggestRequest(
        worker_id=worker_id, count=count, wait_seconds=wait_seconds, lease_seconds=lease_seconds
    )
    patience = WAITING if wait_seconds else USUAL
    return _post(f"{_study(study_id)}/trials:suggest", SuggestedTrials, body=body, patience=patience)


def send_heartbeat(trial: SuggestedTrial) -> Request[TrialSignal]:
    """Keep a trial for another lease."""
    body = AttemptRequest(attempt=trial.attempt)
    # Not repeated: the next heartbeat says the same.
    return _post(f"{_trial(trial)}:heartbeat", TrialSignal, body=body, patience=ONCE)


def report_measurement(
    trial: SuggestedTrial, *, step: int, metrics: Mapping[str, float]
) -> Request[TrialSignal]:
    """Store metrics of a running trial at one step."""
    body = MeasurementReport(attempt=trial.attempt, step=step, metrics=dict(metrics))
    return _post(f"{_trial(trial)}:report", TrialSignal, body=body, patience=RESULT)


def complete_trial(trial: SuggestedTrial, ended: CompletionRequest) -> Request[TrialRead]:
    """Report how a trial ended."""
    return _post(f"{_trial(trial)}:complete", TrialRead, body=ended, patience=RESULT)


def release_trial(trial: SuggestedTrial) -> Request[TrialRead]:
    """Hand a trial back unfinished."""
    return _post(f"{_trial(trial)}:release", TrialRead, body=AttemptRequest(attempt=trial.attempt))


def import_observations(study_id: str, observations: Sequence[ImportedObservation]) -> Request[ImportResult]:
    """Send a study past results to learn from, at most 1000 at a time."""
    body = ImportRequest(observations=tuple(observations))
    return _post(f"{_study(study_id)}/trials:import", ImportResult, body=body)


def task_files() -> Request[tuple[TaskFile, ...]]:
    """Read what you have uploaded, by name."""
    return Request(
        "GET", "/v1/task_files", lambda content: TaskFileList.model_validate_json(content).task_files
    )


def delete_task_file(name: str) -> Request[None]:
    """Delete a file that you have uploaded; no open study may train on it."""
    path = f"/v1/task_files/{quote(name, safe='')}"
    return Request("DELETE", path, lambda _: None, gone_when_repeated=True)


def _get(path: str, schema: type[Answer], **query: str | Sequence[str] | None) -> Request[Answer]:
    asked = {name: value for name, value in query.items() if value is not None}
    return Request("GET", path, schema.model_validate_json, query=asked)


def _post(
    path: str, schema: type[Answer], *, body: BaseModel | None = None, patience: Patience = USUAL
) -> Request[Answer]:
    return Request("POST", path, schema.model_validate_json, body=body, patience=patience)


def _prepared(path: str, *, body: BaseModel) -> Request[StudyRead]:
    return replace(_post(path, StudyRead, body=body, patience=PREPARING), timeout=PREPARING_TIMEOUT)


def segment(identifier: str) -> str:
    """Return an id as one step of a path, whatever it holds.

    Raises:
        CannotBeSent: If it is empty: the path would be another one.
    """
    if not identifier:
        raise CannotBeSent("Nothing was sent: an id is empty.")
    return quote(_checked(identifier), safe="")


def _checked(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise CannotBeSent(f"Nothing was sent: {NO_CHARACTER}") from error
    return text


def _encoded(body: BaseModel) -> str:
    try:
        written = body.model_dump_json(by_alias=True)
        # In a key pydantic replaces what in a value it refuses.
        if REPLACEMENT in written:
            _check_keys(body.model_dump(by_alias=True))
        return written
    except PydanticSerializationError as error:
        why = NO_CHARACTER if "surrogate" in str(error) else f"it cannot be written as JSON: {error}"
        raise CannotBeSent(f"Nothing was sent: {why}") from error


def _check_keys(node: object) -> None:
    if isinstance(node, Mapping):
        for key, inner in node.items():
            _checked(str(key))
            _check_keys(inner)
    elif isinstance(node, list | tuple):
        for inner in node:
            _check_keys(inner)


def _study(study_id: str) -> str:
    return f"/v1/studies/{segment(study_id)}"


def _trial(trial: SuggestedTrial) -> str:
    return f"{_study(trial.study_id)}/trials/{segment(trial.trial_id)}"
