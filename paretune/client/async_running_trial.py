"""The twin of `running_trial`: `async with await study.trial() as trial`. A task sends its heartbeats."""

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from api_schemas.ask_and_tell import SuggestedTrial
from api_schemas.search_space import Parameterization
from api_schemas.trials import TrialRead
from paretune.client import log_requests, requests
from paretune.client.requests import Request
from paretune.client.trial_block import NO_METRIC, TrialBlock, completion, failure
from paretune.errors import NothingReported, ParetuneError, RequestRefused, ServerUnreachable

if TYPE_CHECKING:
    from paretune.client.async_client import AsyncClient


class AsyncRunningTrial:
    """A trial that this program runs.

    The block may report measurements and should call `complete`; without it, the last measurement is the
    result. An exception makes the trial FAILED and leaves the block; torch's out-of-memory error and
    `TrialInfeasible` make it INFEASIBLE and do not; an interrupted program gives it back, and so does one
    that no server answers. A result that no server took is sent once more at the end of the block.
    """

    def __init__(self, client: "AsyncClient", suggested: SuggestedTrial, *, lease_seconds: float) -> None:
        self.suggested = suggested
        self._client = client
        self._block = TrialBlock(suggested, lease_seconds=lease_seconds)
        self._beating: asyncio.Task[None] | None = None

    @property
    def parameters(self) -> Parameterization:
        """What to try."""
        return self.suggested.parameters

    @property
    def should_stop(self) -> bool:
        """Whether the service wants no more of this trial, or has given it to another runner."""
        return self._block.is_lost or self._block.stop_reason is not None

    def check(self) -> None:
        """Leave the block if there is no reason to go on; sends nothing.

        Raises:
            TrialStopped: If the service has said in answer to a heartbeat that it wants no more.
            TrialLost: If another runner has the trial now. Both end the block quietly.
        """
        self._block.check()

    async def report(self, *, step: int, **metrics: float) -> None:
        """Store metrics at one step.

        Raises:
            TrialStopped: If the trial should stop; so do TrialLost and, for a metric that is not a number,
                TrialInfeasible. All three end the block quietly.
        """
        request = self._block.measurement(step, metrics)
        with self._block.unless_lost():
            self._block.take_signal(await self._client.send(request))
        self._block.check()

    def log(self, text: str) -> None:
        """Add a line or several to the trial's log, which the dashboard shows.

        The last lines are sent every ten seconds and with the end; keys and passwords are not.

        Raises:
            TypeError: If it is no text.
        """
        self._block.say(text)

    async def complete(self, /, **metrics: float) -> None:
        """Tell the result."""
        await self._stop_heartbeats()
        await self._send_log()
        result = completion(self.suggested, metrics)
        with self._block.telling(result):
            await self._client.send(result)

    async def __aenter__(self) -> Self:
        self._beating = asyncio.create_task(self._beat())
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        await self._stop_heartbeats()
        ending = self._block.ending(error)
        if ending is not None:
            self._block.log_error(error)
            await self._send_log()
            await self._end(ending, error)
        return self._block.ends_quietly(error)

    async def _end(self, ending: Request[TrialRead], error: BaseException | None) -> None:
        try:
            await self._client.send(ending)
        except RequestRefused as refused:
            if self._block.lose(refused):
                return
            if error is None:
                await self._client.send(failure(self.suggested, str(refused)))
            raise
        self._block.told(ending)
        if error is None and self._block.has_no_result:
            raise NothingReported(f"Trial {self.suggested.number}: {NO_METRIC}.")

    async def _stop_heartbeats(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            await asyncio.wait([self._beating])

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._block.pause_seconds)
            try:
                if self._block.owes_heartbeat():
                    self._block.take_signal(await self._client.send(requests.send_heartbeat(self.suggested)))
            except RequestRefused as refused:
                if self._block.lose(refused):
                    return
            except ServerUnreachable:
                continue  # the next heartbeat may get through
            await self._send_log()

    async def _send_log(self) -> None:
        news = self._block.log.news()
        # What is not taken goes with what is said next; nothing of the trial hangs on it.
        with suppress(ParetuneError):
            if news is not None:
                await self._client.send(log_requests.send_log(self.suggested, news[1]))
                self._block.log.seen(news[0])
