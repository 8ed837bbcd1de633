"""The blocking client."""

import time
from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from api_schemas.events import EventRead
from api_schemas.tasks import TaskFile
from paretune.client import access_requests, log_requests, requests
from paretune.client.address import checked_address, checked_key
from paretune.client.describing import described
from paretune.client.files import UPLOAD_TIMEOUT, IncomingFile, artifact_path, upload_path
from paretune.client.following import follow_events
from paretune.client.requests import Page, Request, page_after
from paretune.client.retries import Failure, Retries, explained, refusal, understood, unreachable
from paretune.client.study import Study
from paretune.errors import UnreadableFile

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")
Item = TypeVar("Item")


def blocking(
    describe: Callable[Arguments, Request[Value]],
) -> Callable[Concatenate["Client", Arguments], Value]:
    """Make a method that sends what a function describes, and returns the answer."""

    @wraps(describe)
    def method(self: "Client", /, *args: Arguments.args, **named: Arguments.kwargs) -> Value:
        return self.send(described(describe, *args, **named))

    return method


def iterating(
    describe: Callable[Arguments, Request[Page[Item]]],
) -> Callable[Concatenate["Client", Arguments], Iterator[Item]]:
    """Make a method that goes through all pages of a list."""

    @wraps(describe)
    def method(self: "Client", /, *args: Arguments.args, **named: Arguments.kwargs) -> Iterator[Item]:
        request = described(describe, *args, **named)
        page = self.send(request)
        yield from page.items
        while page.next_token is not None:
            page = self.send(page_after(request, page.next_token))
            yield from page.items

    return method


class Client:
    """Talks to one server with one API key. Threads may share it."""

    def __init__(self, base_url: str, *, api_key: str, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.Client(
            base_url=checked_address(base_url),
            headers={"Authorization": f"Bearer {checked_key(api_key)}"},
            timeout=timeout_seconds,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The address of the server, without a password that may stand in it."""
        return str(self._http.base_url.copy_with(userinfo=b"")).rstrip("/")

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    create_study = blocking(requests.create_study)
    create_study_from = blocking(requests.create_study_from)
    validate_study = blocking(requests.validate_study)
    get_study = blocking(requests.get_study)
    studies = iterating(requests.studies)
    trials = iterating(requests.trials)
    get_trial = blocking(requests.get_trial)
    trial_logs = blocking(log_requests.trial_logs)
    pareto_front = blocking(requests.pareto_front)
    hypervolume_history = blocking(requests.hypervolume_history)
    recommendation = blocking(requests.recommendation)
    importance = blocking(requests.importance)
    read_slice = blocking(requests.read_slice)
    runs = blocking(requests.runs)
    module_maps = blocking(requests.module_maps)
    pause = blocking(requests.pause)
    resume = blocking(requests.resume)
    cancel = blocking(requests.cancel)
    update = blocking(requests.update)
    extend = blocking(requests.extend)
    clone = blocking(requests.clone)
    delete = blocking(requests.delete)
    suggest_trials = blocking(requests.suggest_trials)
    send_heartbeat = blocking(requests.send_heartbeat)
    send_log = blocking(log_requests.send_log)
    report_measurement = blocking(requests.report_measurement)
    complete_trial = blocking(requests.complete_trial)
    release_trial = blocking(requests.release_trial)
    import_observations = blocking(requests.import_observations)
    task_files = blocking(requests.task_files)
    delete_task_file = blocking(requests.delete_task_file)
    past_events = iterating(requests.past_events)
    create_key = blocking(access_requests.create_key)
    api_keys = iterating(access_requests.api_keys)
    revoke_key = blocking(access_requests.revoke_key)
    audit_events = iterating(access_requests.audit_events)
    create_webhook = blocking(access_requests.create_webhook)
    webhooks = iterating(access_requests.webhooks)
    delete_webhook = blocking(access_requests.delete_webhook)
    replay_webhook = blocking(access_requests.replay_webhook)

    def study(self, study_id: str) -> Study:
        """Return a handle of a study: wait for it, ask it for trials, tell it results. Sends nothing."""
        return Study(self, study_id)

    def download_artifact(self, study_id: str, trial_id: str, name: str, *, to: Path) -> None:
        """Stream a file of a trial to a path, on from where a lost connection broke off.

        Raises:
            DamagedDownload: If its hash is not the server's.
            RequestRefused: If the server says no.
            ServerUnreachable: If no server answers; a later call goes on from here.
        """
        path = artifact_path(study_id, trial_id, name)
        incoming = IncomingFile(to, trial_id=trial_id)
        while True:
            failure: Failure
            try:
                with self._http.stream("GET", path, headers=incoming.headers()) as response:
                    if response.is_success:
                        with incoming.open(response) as file:
                            for chunk in response.iter_bytes():
                                file.write(chunk)
                        incoming.finish(response)
                        return
                    response.read()
                    failure = response
            except httpx.RequestError as error:
                failure = error
            pause = incoming.pause_after(failure)
            if pause is None:
                raise explained(failure, base_url=self._http.base_url)
            time.sleep(pause)

    def upload_task_file(self, file: Path, *, name: str | None = None) -> TaskFile:
        """Stream a file of rows to the server; a study names it `file:NAME`.

        Raises:
            UnreadableFile: If there is no such file.
        """
        try:
            with file.open("rb") as content:
                response = self._http.put(upload_path(file, name), content=content, timeout=UPLOAD_TIMEOUT)
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
        except httpx.RequestError as error:
            raise unreachable(error, base_url=self._http.base_url) from error
        if not response.is_success:
            raise refusal(response)
        return understood(TaskFile.model_validate_json, response)

    def events(self, study_id: str, *, after: int = 0) -> Iterator[EventRead]:
        """Return the events of a study from the one after a number, and go on as they happen.

        Lost connections are opened again, with no event lost or doubled. Ends when the study is deleted.
        """
        return follow_events(self._http, study_id, after=after)

    def send(self, request: Request[Value]) -> Value:
        """Send a request, again where that may help, and read its answer.

        Raises:
            RequestRefused: If the server says no.
            ServerUnreachable: If no server answers.
        """
        retries = Retries(request.patience)
        arguments = request.arguments()
        while True:
            failure: Failure
            try:
                response = self._http.request(**arguments)
            except httpx.RequestError as error:
                failure = error
            else:
                if retries.is_done(request, response):
                    return understood(request.parse, response)
                failure = response
            pause = retries.pause_after(failure)
            if pause is None:
                raise explained(failure, base_url=self._http.base_url)
            time.sleep(pause)
