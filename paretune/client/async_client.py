"""The asynchronous client: the twin of `client`."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from api_schemas.events import EventRead
from api_schemas.tasks import TaskFile
from paretune.client import access_requests, log_requests, requests
from paretune.client.address import checked_address, checked_key
from paretune.client.async_following import follow_events
from paretune.client.async_study import AsyncStudy
from paretune.client.describing import described
from paretune.client.files import UPLOAD_TIMEOUT, IncomingFile, artifact_path, chunks, upload_path
from paretune.client.requests import Page, Request, page_after
from paretune.client.retries import Failure, Retries, explained, refusal, understood, unreachable
from paretune.errors import UnreadableFile

Arguments = ParamSpec("Arguments")
Value = TypeVar("Value")
Item = TypeVar("Item")


def awaiting(
    describe: Callable[Arguments, Request[Value]],
) -> Callable[Concatenate["AsyncClient", Arguments], Awaitable[Value]]:
    """Make a method that sends what a function describes, and returns the answer."""

    @wraps(describe)
    async def method(self: "AsyncClient", /, *args: Arguments.args, **named: Arguments.kwargs) -> Value:
        return await self.send(described(describe, *args, **named))

    return method


def iterating(
    describe: Callable[Arguments, Request[Page[Item]]],
) -> Callable[Concatenate["AsyncClient", Arguments], AsyncIterator[Item]]:
    """Make a method that goes through all pages of a list."""

    @wraps(describe)
    async def method(
        self: "AsyncClient", /, *args: Arguments.args, **named: Arguments.kwargs
    ) -> AsyncIterator[Item]:
        request = described(describe, *args, **named)
        page = await self.send(request)
        for item in page.items:
            yield item
        while page.next_token is not None:
            page = await self.send(page_after(request, page.next_token))
            for item in page.items:
                yield item

    return method


class AsyncClient:
    """Talks to one server with one API key. Tasks may share it."""

    def __init__(self, base_url: str, *, api_key: str, timeout_seconds: float = 30.0) -> None:
        self._http = httpx.AsyncClient(
            base_url=checked_address(base_url),
            headers={"Authorization": f"Bearer {checked_key(api_key)}"},
            timeout=timeout_seconds,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    create_study = awaiting(requests.create_study)
    create_study_from = awaiting(requests.create_study_from)
    validate_study = awaiting(requests.validate_study)
    get_study = awaiting(requests.get_study)
    studies = iterating(requests.studies)
    trials = iterating(requests.trials)
    get_trial = awaiting(requests.get_trial)
    trial_logs = awaiting(log_requests.trial_logs)
    pareto_front = awaiting(requests.pareto_front)
    hypervolume_history = awaiting(requests.hypervolume_history)
    recommendation = awaiting(requests.recommendation)
    importance = awaiting(requests.importance)
    read_slice = awaiting(requests.read_slice)
    runs = awaiting(requests.runs)
    module_maps = awaiting(requests.module_maps)
    pause = awaiting(requests.pause)
    resume = awaiting(requests.resume)
    cancel = awaiting(requests.cancel)
    update = awaiting(requests.update)
    extend = awaiting(requests.extend)
    clone = awaiting(requests.clone)
    delete = awaiting(requests.delete)
    suggest_trials = awaiting(requests.suggest_trials)
    send_heartbeat = awaiting(requests.send_heartbeat)
    send_log = awaiting(log_requests.send_log)
    report_measurement = awaiting(requests.report_measurement)
    complete_trial = awaiting(requests.complete_trial)
    release_trial = awaiting(requests.release_trial)
    import_observations = awaiting(requests.import_observations)
    task_files = awaiting(requests.task_files)
    delete_task_file = awaiting(requests.delete_task_file)
    past_events = iterating(requests.past_events)
    create_key = awaiting(access_requests.create_key)
    api_keys = iterating(access_requests.api_keys)
    revoke_key = awaiting(access_requests.revoke_key)
    audit_events = iterating(access_requests.audit_events)
    create_webhook = awaiting(access_requests.create_webhook)
    webhooks = iterating(access_requests.webhooks)
    delete_webhook = awaiting(access_requests.delete_webhook)
    replay_webhook = awaiting(access_requests.replay_webhook)

    def study(self, study_id: str) -> AsyncStudy:
        """Return a handle of a study: wait for it, ask it for trials, tell it results. Sends nothing."""
        return AsyncStudy(self, study_id)

    async def download_artifact(self, study_id: str, trial_id: str, name: str, *, to: Path) -> None:
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
                async with self._http.stream("GET", path, headers=incoming.headers()) as response:
                    if response.is_success:
                        with incoming.open(response) as file:
                            async for chunk in response.aiter_bytes():
                                file.write(chunk)
                        incoming.finish(response)
                        return
                    await response.aread()
                    failure = response
            except httpx.RequestError as error:
                failure = error
            pause = incoming.pause_after(failure)
            if pause is None:
                raise explained(failure, base_url=self._http.base_url)
            await asyncio.sleep(pause)

    async def upload_task_file(self, file: Path, *, name: str | None = None) -> TaskFile:
        """Stream a file of rows to the server; a study names it `file:NAME`.

        Raises:
            UnreadableFile: If there is no such file.
        """
        try:
            with file.open("rb") as content:
                response = await self._http.put(
                    upload_path(file, name), content=chunks(content), timeout=UPLOAD_TIMEOUT
                )
        except OSError as error:
            raise UnreadableFile(f"{file} cannot be read: {error.strerror}.") from error
        except httpx.RequestError as error:
            raise unreachable(error, base_url=self._http.base_url) from error
        if not response.is_success:
            raise refusal(response)
        return understood(TaskFile.model_validate_json, response)

    def events(self, study_id: str, *, after: int = 0) -> AsyncGenerator[EventRead, None]:
        """Return the events of a study from the one after a number, and go on as they happen.

        Lost connections are opened again, with no event lost or doubled. Ends when the study is deleted.
        """
        return follow_events(self._http, study_id, after=after)

    async def send(self, request: Request[Value]) -> Value:
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
                response = await self._http.request(**arguments)
            except httpx.RequestError as error:
                failure = error
            else:
                if retries.is_done(request, response):
                    return understood(request.parse, response)
                failure = response
            pause = retries.pause_after(failure)
            if pause is None:
                raise explained(failure, base_url=self._http.base_url)
            await asyncio.sleep(pause)
