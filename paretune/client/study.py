"""A handle of one study: wait for it, or run its trials."""

import random
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from api_schemas.ask_and_tell import (
    LONGEST_WAIT_SECONDS,
    ImportedObservation,
    ImportResult,
    SuggestedTrial,
    TrialSignal,
)
from api_schemas.studies import StudyRead
from api_schemas.trials import TrialRead
from paretune.client.asking import PAUSE_SECONDS, hands_out_no_more, has_ended, lease_of, new_worker_id
from paretune.client.data_frame import data_frame
from paretune.client.requests import awaited_study
from paretune.client.running_trial import RunningTrial
from paretune.client.trial_block import completion, failure, infeasibility
from paretune.errors import StudyEnded

if TYPE_CHECKING:
    import pandas as pd

    from paretune.client.client import Client


class Study:
    """One study of a client. Nothing of it is kept here: every call asks the server."""

    def __init__(self, client: "Client", study_id: str) -> None:
        self.id = study_id
        self._client = client

    def read(self) -> StudyRead:
        """Read the study."""
        return self._client.get_study(self.id)

    def wait(self, *, poll_seconds: float = 2.0) -> StudyRead:
        """Wait until the study has ended, and give its last state.

        Raises:
            ServerUnreachable: If no server has answered for a minute.
        """
        while not has_ended(study := self._client.send(awaited_study(self.id))):
            time.sleep(poll_seconds)
        return study

    def trials(self) -> Iterator[TrialRead]:
        """Read every trial, by number."""
        return self._client.trials(self.id)

    def ask(
        self,
        count: int = 1,
        *,
        worker_id: str | None = None,
        wait_seconds: float = LONGEST_WAIT_SECONDS,
        lease_seconds: float | None = None,
    ) -> tuple[SuggestedTrial, ...]:
        """Get up to `count` trials, none if there are none in time.

        A worker that asks again under the same id first gets those that it still holds. Without an id,
        every call is a worker of its own. `lease_seconds` is how long nothing need be heard of each trial.
        """
        worker = worker_id or new_worker_id()
        answer = self._client.suggest_trials(
            self.id, worker_id=worker, count=count, wait_seconds=wait_seconds, lease_seconds=lease_seconds
        )
        return answer.trials

    def tell(self, trial: SuggestedTrial, /, **metrics: float) -> TrialRead:
        """Tell a result; a metric that is not a number makes the trial infeasible."""
        return self._client.send(completion(trial, metrics))

    def tell_infeasible(self, trial: SuggestedTrial, reason: str) -> TrialRead:
        """Tell that the parameters cannot work; the optimiser learns from it."""
        return self._client.send(infeasibility(trial, reason))

    def tell_failed(self, trial: SuggestedTrial, reason: str) -> TrialRead:
        """Tell that something else broke; the trial is tried again while attempts remain."""
        return self._client.send(failure(trial, reason))

    def report(self, trial: SuggestedTrial, /, *, step: int, **metrics: float) -> TrialSignal:
        """Store metrics at one step; the answer says whether the trial should stop."""
        return self._client.report_measurement(trial, step=step, metrics=metrics)

    def heartbeat(self, trial: SuggestedTrial) -> TrialSignal:
        """Keep a trial for another lease; the answer says whether it is still wanted."""
        return self._client.send_heartbeat(trial)

    def trial(self, *, worker_id: str | None = None, lease_seconds: float | None = None) -> RunningTrial:
        """Wait for a trial to run, and give it as the context of a block.

        Heartbeats come three times in each `lease_seconds`, the server's usual time if left out.

        Raises:
            StudyEnded: If the study hands out no more.
        """
        worker = worker_id or new_worker_id()
        while True:
            answer = self._client.suggest_trials(
                self.id, worker_id=worker, wait_seconds=LONGEST_WAIT_SECONDS, lease_seconds=lease_seconds
            )
            if answer.trials:
                return RunningTrial(self._client, answer.trials[0], lease_seconds=lease_of(answer))
            if hands_out_no_more(answer):
                raise StudyEnded(f"Study {self.id} is {answer.study_state}.")
            time.sleep(PAUSE_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311  no secret

    def open_trials(
        self, *, worker_id: str | None = None, lease_seconds: float | None = None
    ) -> Iterator[RunningTrial]:
        """Yield one trial after the other until the study has ended."""
        while True:
            try:
                trial = self.trial(worker_id=worker_id, lease_seconds=lease_seconds)
            except StudyEnded:
                return
            yield trial

    def import_observations(self, observations: Sequence[ImportedObservation]) -> ImportResult:
        """Send the study past results to learn from, at most 1000 at a time."""
        return self._client.import_observations(self.id, observations)

    def to_dataframe(self) -> "pd.DataFrame":
        """Return the trials as a table, one row each.

        Raises:
            PandasMissing: If pandas is not installed.
        """
        return data_frame(list(self.trials()))
