"""What a trial's block must say to the service, and when. Sends nothing, knows a clock and no thread."""

import logging
import math
import os
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from time import monotonic

from api_schemas.ask_and_tell import CompletionRequest, StopReason, SuggestedTrial, TrialSignal
from api_schemas.log_tail import LogTail
from api_schemas.objectives import LARGEST_METRIC
from api_schemas.redaction import secrets_of
from api_schemas.trials import TrialRead, TrialState
from paretune.client import requests
from paretune.client.describing import described
from paretune.client.requests import Request
from paretune.errors import (
    ParetuneError,
    RequestRefused,
    ServerUnreachable,
    TrialEnded,
    TrialInfeasible,
    TrialLost,
    TrialStopped,
)
from paretune.printable import encodable

log = logging.getLogger(__name__)

HEARTBEATS_PER_LEASE = 3
SECONDS_BETWEEN_LOGS = 10.0
"""The log of a trial with a lease of a night is news all the same."""
GONE = (404, 409)
LONGEST_REASON = 2000
NO_METRIC = "the block ended without a metric: call report or complete in it"


class TrialBlock:
    """A suggested trial from its first line of code to its end."""

    def __init__(self, suggested: SuggestedTrial, *, lease_seconds: float) -> None:
        self.suggested = suggested
        self.heartbeat_seconds = lease_seconds / HEARTBEATS_PER_LEASE
        self._heartbeat_due = monotonic() + self.heartbeat_seconds
        self.last_metrics: dict[str, float] = {}
        self.stop_reason: StopReason | None = None
        self.is_lost = False
        self.is_done = False
        self._untold: Request[TrialRead] | None = None
        self._told_at_last = False
        self.log = LogTail(secrets=secrets_of(os.environ))

    def measurement(self, step: int, metrics: Mapping[str, float]) -> Request[TrialSignal]:
        """Return what reports a measurement.

        Raises:
            TrialInfeasible: If a metric is not a number.
            TrialStopped: If the service has said meanwhile that it wants no more.
            TrialLost: If another runner has the trial now.
            CannotBeSent: If no metric may be called so.
        """
        self.check()
        reason = not_a_number(metrics)
        if reason is not None:
            raise TrialInfeasible(reason)
        request = described(requests.report_measurement, self.suggested, step=step, metrics=metrics)
        self.last_metrics = dict(metrics)
        return request

    @property
    def pause_seconds(self) -> float:
        """How long to wait until a heartbeat or the log is due."""
        return min(max(self._heartbeat_due - monotonic(), 0.0), SECONDS_BETWEEN_LOGS)

    def owes_heartbeat(self) -> bool:
        """Return whether a heartbeat is due; then the next one is due a third of the lease from now."""
        now = monotonic()
        if now < self._heartbeat_due:
            return False
        self._heartbeat_due = now + self.heartbeat_seconds
        return True

    def say(self, text: str) -> None:
        """Add to the log what the block says.

        Raises:
            TypeError: If it is no text.
        """
        if not isinstance(text, str):
            raise TypeError(f"trial.log takes text, not {type(text).__name__}: give it str(...) of that.")
        self.log.add(text)

    def take_signal(self, signal: TrialSignal) -> None:
        """Remember whether the service wants the trial stopped."""
        self.stop_reason = signal.reason if signal.should_stop else self.stop_reason

    def lose(self, refused: RequestRefused) -> bool:
        """Remember that another runner has the trial, if a refusal says so."""
        if refused.problem.status in GONE and not self.is_done:
            log.warning("trial %s is no longer this runner's: %s", self.suggested.trial_id, refused)
            self.is_lost = True
        return refused.problem.status in GONE

    @contextmanager
    def unless_lost(self) -> Iterator[None]:
        """Let a block that sends something end quietly if another runner has the trial."""
        try:
            yield
        except RequestRefused as refused:
            if not self.lose(refused):
                raise

    @contextmanager
    def telling(self, result: Request[TrialRead]) -> Iterator[None]:
        """Let a block send its result; the end of the block sends it again if no server took it."""
        try:
            with self.unless_lost():
                yield
        except ServerUnreachable:
            self._untold = result
            raise
        self.is_done = True

    def told(self, ending: Request[TrialRead]) -> None:
        """Remember that the end of the block has been taken."""
        self._told_at_last = ending is self._untold

    @property
    def has_no_result(self) -> bool:
        """Whether nothing was measured and no result told."""
        return not self.last_metrics and not self._told_at_last

    def ends_quietly(self, error: BaseException | None) -> bool:
        """Return whether what left the block is dealt with, so that a loop over trials goes on."""
        is_back = self._told_at_last and isinstance(error, ServerUnreachable)
        return is_back or isinstance(error, TrialEnded) or is_out_of_memory(error)

    def check(self) -> None:
        """Leave the block if there is no reason to go on."""
        if self.is_lost:
            raise TrialLost(f"Trial {self.suggested.number} was given to another runner.")
        if self.stop_reason is not None:
            raise TrialStopped(f"Trial {self.suggested.number} is to stop: {self.stop_reason}.")

    def log_error(self, error: BaseException | None) -> None:
        """Add to the log what broke the block: where, unless a sentence says it all."""
        if isinstance(error, ParetuneError):
            self.log.add(_sentence(error))
        elif isinstance(error, Exception):
            self.log.add("".join(traceback.format_exception(error)))

    def ending(self, error: BaseException | None) -> Request[TrialRead] | None:
        """Return the request that reports how the block ended; None if that was reported or is not wanted."""
        if self.is_done or isinstance(error, TrialLost):
            return None
        if self._untold is not None and (error is None or isinstance(error, ServerUnreachable)):
            return self._untold
        if self.is_lost and (error is not None or not self.last_metrics):
            return None
        # A result is always sent: the service takes it while no other runner has the trial.
        if error is None:
            if not self.last_metrics:
                return failure(self.suggested, NO_METRIC)
            return completion(self.suggested, self.last_metrics)
        if isinstance(error, TrialStopped) and self.stop_reason is StopReason.STOPPED_EARLY:
            return requests.complete_trial(
                self.suggested,
                CompletionRequest(attempt=self.suggested.attempt, state=TrialState.STOPPED_EARLY),
            )
        # An interrupted program, or a server that is away, says nothing about the trial: release it.
        if isinstance(error, TrialStopped | ServerUnreachable) or not isinstance(error, Exception):
            return requests.release_trial(self.suggested)
        if isinstance(error, TrialInfeasible) or is_out_of_memory(error):
            return infeasibility(self.suggested, _sentence(error))
        return failure(self.suggested, _sentence(error))


def is_out_of_memory(error: BaseException | None) -> bool:
    """Recognise torch's error by its name, for torch may not be installed."""
    return any(
        base.__name__ == "OutOfMemoryError" and base.__module__.split(".")[0] == "torch"
        for base in type(error).__mro__
    )


def completion(trial: SuggestedTrial, metrics: Mapping[str, float]) -> Request[TrialRead]:
    """Return what tells a result; one that is not a number says that the parameters cannot work.

    Raises:
        CannotBeSent: If no metric may be called so, or there are too many.
    """
    reason = not_a_number(metrics)
    if reason is not None:
        return infeasibility(trial, reason)
    ended = described(
        CompletionRequest, attempt=trial.attempt, state=TrialState.SUCCEEDED, metrics=dict(metrics)
    )
    return requests.complete_trial(trial, ended)


def infeasibility(trial: SuggestedTrial, reason: str) -> Request[TrialRead]:
    """Return what tells that the parameters cannot work."""
    return _without_result(trial, TrialState.INFEASIBLE, reason)


def failure(trial: SuggestedTrial, reason: str) -> Request[TrialRead]:
    """Return what tells that something broke which is not the parameters' fault."""
    return _without_result(trial, TrialState.FAILED, reason)


def not_a_number(metrics: Mapping[str, float]) -> str | None:
    """Return which metrics are not finite, or larger than any that counts; None if all are."""
    odd = sorted(name for name, value in metrics.items() if not -math.inf < value < math.inf)
    if odd:
        return f"not-a-number: {', '.join(odd)}"
    large = sorted(name for name, value in metrics.items() if abs(value) > LARGEST_METRIC)
    return f"beyond {LARGEST_METRIC:g}: {', '.join(large)}" if large else None


def _without_result(trial: SuggestedTrial, state: TrialState, reason: str) -> Request[TrialRead]:
    clean = encodable(reason.replace("\0", "")).strip()[:LONGEST_REASON] or "no reason was given"
    document = {"attempt": trial.attempt, "state": state, "reason": clean}
    return requests.complete_trial(trial, CompletionRequest.model_validate(document))


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, TrialEnded) else f"{type(error).__name__}: {error}"
