"""A typed client of the HTTP API. Needs the contract and httpx, nothing else."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import JsonValue, ValidationError

from api_schemas.base import Schema
from api_schemas.errors import Problem
from api_schemas.pareto import HypervolumeHistory, ParetoFront
from api_schemas.studies import StudyCreate, StudyPage, StudyRead
from api_schemas.study_changes import StudyClone, StudyExtension
from api_schemas.tasks import TaskFile, TaskFileList
from api_schemas.trials import TrialPage, TrialRead
from paretune.errors import RequestRefused, ServerUnreachable, UnreadableFile

Answer = TypeVar("Answer", bound=Schema)

UNAVAILABLE_SECONDS = 60.0
"""How long reading waits for a server whose database is away."""

PAUSE_SECONDS = 1.0
UPLOAD_TIMEOUT = httpx.Timeout(30.0, read=300.0)
"""The server reads a whole table before it answers."""


class Client:
    """Talks to one server with one API key."""

    def __init__(self, base_url: str, *, api_key: str, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=base_url.rstrip("/"),
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def create_study(self, study: StudyCreate) -> StudyRead:
        """Register a study."""
        return self._post("/v1/studies", StudyRead, body=study)

    def get_study(self, study_id: str) -> StudyRead:
        """Read a study."""
        return self._get(f"/v1/studies/{study_id}", StudyRead)

    def studies(self) -> Iterator[StudyRead]:
        """Read every study, newest first."""
        token: str | None = None
        while True:
            page = self._get("/v1/studies", StudyPage, page_token=token)
            yield from page.studies
            token = page.next_page_token
            if token is None:
                return

    def trials(self, study_id: str) -> Iterator[TrialRead]:
        """Read every trial of a study, by number."""
        token: str | None = None
        while True:
            page = self._get(f"/v1/studies/{study_id}/trials", TrialPage, page_token=token)
            yield from page.trials
            token = page.next_page_token
            if token is None:
                return

    def pareto_front(self, study_id: str) -> ParetoFront:
        """Read the front after the last accepted result."""
        return self._get(f"/v1/studies/{study_id}/pareto_front", ParetoFront)

    def hypervolume_history(self, study_id: str) -> HypervolumeHistory:
        """Read the hypervolume after each accepted result."""
        return self._get(f"/v1/studies/{study_id}/hypervolume_history", HypervolumeHistory)

    def pause(self, study_id: str) -> StudyRead:
        """Start no more trials; running ones end."""
        return self._post(f"/v1/studies/{study_id}:pause", StudyRead)

    def resume(self, study_id: str) -> StudyRead:
        """Go on with a paused study."""
        return self._post(f"/v1/studies/{study_id}:resume", StudyRead)

    def cancel(self, study_id: str) -> StudyRead:
        """End a study."""
        return self._post(f"/v1/studies/{study_id}:cancel", StudyRead)

    def extend(self, study_id: str, *, trials: int) -> StudyRead:
        """Add trials to a study's budget; one that has succeeded goes on."""
        return self._post(f"/v1/studies/{study_id}:extend", StudyRead, body=StudyExtension(trials=trials))

    def clone(
        self, study_id: str, *, edits: dict[str, JsonValue] | None = None, import_trials: bool = False
    ) -> StudyRead:
        """Register a study like this one under a merge patch (RFC 7396), from its results if you want."""
        body = StudyClone(edits=edits or {}, import_trials=import_trials)
        return self._post(f"/v1/studies/{study_id}:clone", StudyRead, body=body)

    def delete(self, study_id: str) -> None:
        """Delete an ended study, its trials and their files."""
        self._send("DELETE", f"/v1/studies/{study_id}")

    def download_artifact(self, study_id: str, trial_id: str, name: str, *, to: Path) -> None:
        """Stream a file of a trial to a path."""
        path = f"/v1/studies/{study_id}/trials/{trial_id}/artifacts/{name}"
        try:
            with self._http.stream("GET", path) as response, to.open("wb") as file:
                if response.is_error:
                    response.read()
                    raise _refusal(response)
                for chunk in response.iter_bytes():
                    file.write(chunk)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    def upload_task_file(self, file: Path, *, name: str | None = None) -> TaskFile:
        """Stream a file of rows to the server; a study names it `file:NAME`.

        Raises:
            UnreadableFile: If there is no such file.
        """
        path = f"/v1/task_files/{quote(name or file.name, safe='')}"
        try:
            with file.open("rb") as content:
                response = self._http.put(path, content=content, timeout=UPLOAD_TIMEOUT)
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        if response.is_error:
            raise _refusal(response)
        return TaskFile.model_validate_json(response.content)

    def task_files(self) -> tuple[TaskFile, ...]:
        """Read what you have uploaded, by name."""
        return self._get("/v1/task_files", TaskFileList).task_files

    def _get(self, path: str, answer: type[Answer], **query: str | None) -> Answer:
        params = {name: value for name, value in query.items() if value is not None}
        return answer.model_validate_json(self._send("GET", path, params=params).content)

    def _post(self, path: str, answer: type[Answer], *, body: Schema | None = None) -> Answer:
        content = None if body is None else body.model_dump_json(by_alias=True)
        return answer.model_validate_json(self._send("POST", path, content=content).content)

    def _send(
        self, method: str, path: str, *, params: dict[str, str] | None = None, content: str | None = None
    ) -> httpx.Response:
        headers = {"Content-Type": "application/json"} if content is not None else None
        give_up = time.monotonic() + UNAVAILABLE_SECONDS
        while True:
            try:
                response = self._http.request(method, path, params=params, content=content, headers=headers)
            except httpx.TransportError as error:
                raise self._unreachable(error) from error
            # What only reads can be asked again while the server's database comes back.
            if response.status_code != httpx.codes.SERVICE_UNAVAILABLE or method != "GET":
                break
            if time.monotonic() > give_up:
                break
            time.sleep(PAUSE_SECONDS)
        if response.is_error:
            raise _refusal(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        return ServerUnreachable(
            f"No Paretune server answers at {self._http.base_url} ({type(error).__name__}). "
            "Start one with `paretune up`, or set PARETUNE_URL."
        )


def _refusal(response: httpx.Response) -> RequestRefused:
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        problem = Problem(
            type="about:blank",
            title=f"The server answered {response.status_code}.",
            status=response.status_code,
            detail="The answer is no Paretune problem; is this the right address?",
        )
    return RequestRefused(problem)
