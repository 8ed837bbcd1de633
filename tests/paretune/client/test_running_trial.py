"""A trial's block says to the service how it went, whatever leaves it."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from api_schemas.ask_and_tell import SuggestedTrial
from api_schemas.trial_logs import LogReport
from api_schemas.trials import TrialRead, TrialState
from paretune.client import AsyncClient, Client, RunningTrial
from paretune.client.requests import Request
from paretune.client.trial_block import TrialBlock, completion
from paretune.errors import (
    CannotBeSent,
    NothingReported,
    RequestRefused,
    ServerUnreachable,
    StudyEnded,
    TrialInfeasible,
)
from service import settings
from service.trials import sweeper
from tests.conftest import API_KEY
from tests.paretune.client.studies import queued_study, replicate_of
from tests.service.trials.test_leases import expire_all_leases

GOOD = {"cost": 1.0, "gain": 0.5}
OutOfMemoryError = type("OutOfMemoryError", (RuntimeError,), {"__module__": "torch"})


@pytest.fixture
def running(client: Client) -> RunningTrial:
    return client.study(queued_study()).trial()


def ended(client: Client, running: RunningTrial) -> TrialRead:
    return client.get_trial(running.suggested.study_id, running.suggested.trial_id)


def test_the_last_measurement_is_the_result(client: Client, running: RunningTrial) -> None:
    """Where the block does not call `complete`."""
    with running as trial:
        assert trial.parameters == {"x": 0.1}
        trial.report(step=1, cost=3.0, gain=0.1)
        trial.report(step=2, **GOOD)
    after = ended(client, running)
    assert (after.state, after.metrics) == (TrialState.SUCCEEDED, GOOD)
    assert [item.step for item in after.measurements] == [1, 2]


def test_what_is_completed_is_the_result(client: Client, running: RunningTrial) -> None:
    """Whatever was measured before."""
    with running as trial:
        trial.report(step=1, cost=3.0)
        trial.complete(**GOOD)
    assert ended(client, running).metrics == GOOD


def test_an_exception_fails_the_trial_and_leaves_the_block(client: Client, running: RunningTrial) -> None:
    """It is tried again, and says what happened."""
    with pytest.raises(ValueError, match="no such file"), running:
        raise ValueError("no such file\0")
    after = ended(client, running)
    assert (after.state, after.state_reason) == (TrialState.QUEUED, "ValueError: no such file")
    assert replicate_of(after.id).lost_attempts == 1


def test_what_a_trial_says_and_what_breaks_it_stands_in_its_log(
    client: Client, running: RunningTrial, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the traceback, and without the keys of its environment."""
    monkeypatch.setenv("MY_API_KEY", "open sesame please")
    trial = client.study(queued_study()).trial()
    trial.log("epoch 1\nopen sesame please\0")
    with pytest.raises(ValueError, match="no such file"), trial:
        raise ValueError("no such file")
    [log] = client.trial_logs(trial.suggested.study_id, trial.suggested.trial_id).logs
    lines = log.text.splitlines()
    assert lines[:3] == ["epoch 1", "[redacted]", "Traceback (most recent call last):"]
    assert lines[-1] == "ValueError: no such file"
    assert client.trial_logs(running.suggested.study_id, running.suggested.trial_id).logs == ()


def test_lines_go_with_heartbeats(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once each; a server that does not take them costs the trial nothing."""
    monkeypatch.setattr("paretune.client.trial_block.HEARTBEATS_PER_LEASE", 600)
    trial = client.study(queued_study()).trial()
    place = (trial.suggested.study_id, trial.suggested.trial_id)
    with trial:
        trial.log("epoch 1")
        while not client.trial_logs(*place).logs:
            time.sleep(0.02)
        monkeypatch.setattr(
            "paretune.client.log_requests.LogReport", lambda **_: LogReport(attempt=9, text="")
        )
        trial.log("epoch 2")
        trial.complete(**GOOD)
    assert ended(client, trial).state is TrialState.SUCCEEDED
    assert client.trial_logs(*place).logs[0].text == "epoch 1"


def test_out_of_memory_and_odd_numbers_are_infeasible(client: Client) -> None:
    """And a loop over trials goes on."""
    study = client.study(queued_study(trials=4))
    number = None
    for number, trial in zip(range(4), study.open_trials(), strict=False):
        with trial:
            if number == 0:
                raise OutOfMemoryError("CUDA out of memory")
            if number == 1:
                trial.report(step=1, cost=float("nan"))
            if number == 2:
                raise TrialInfeasible("x is too small")
            trial.complete(cost=1.0, gain=float("inf"))
    assert number == 3
    assert [(trial.state, trial.state_reason) for trial in study.trials()] == [
        (TrialState.INFEASIBLE, "OutOfMemoryError: CUDA out of memory"),
        (TrialState.INFEASIBLE, "not-a-number: cost"),
        (TrialState.INFEASIBLE, "x is too small"),
        (TrialState.INFEASIBLE, "not-a-number: gain"),
    ]


def test_an_interrupted_program_gives_its_trial_back(client: Client, running: RunningTrial) -> None:
    """At no cost of the trial's attempts."""
    with pytest.raises(KeyboardInterrupt), running:
        raise KeyboardInterrupt
    after = ended(client, running)
    assert (after.state, replicate_of(after.id).lost_attempts) == (TrialState.QUEUED, 0)


def test_a_cancelled_study_ends_the_block_quietly(client: Client, running: RunningTrial) -> None:
    """The next report leaves it, and nobody gets another trial."""
    study = client.study(running.suggested.study_id)
    with running as trial:
        client.cancel(study.id)
        trial.report(step=1, **GOOD)
        pytest.fail("the block went on")
    assert trial.should_stop
    assert ended(client, running).state is TrialState.CANCELLED
    with pytest.raises(StudyEnded, match="CANCELLED"):
        study.trial()


def test_a_lost_trial_ends_the_block_quietly(client: Client, running: RunningTrial) -> None:
    """Another runner has it, and nothing of this one is kept."""
    with running as trial:
        expire_all_leases()
        sweeper.sweep_once()
        other = client.study(running.suggested.study_id).trial()
        trial.report(step=1, **GOOD)
        pytest.fail("the block went on")
    after = ended(client, running)
    assert (after.state, after.attempt, after.measurements) == (TrialState.RUNNING, 2, ())
    assert other.suggested.trial_id == after.id


def test_a_block_without_a_metric_is_a_mistake(client: Client, running: RunningTrial) -> None:
    """It is said, and the trial does not hang until its lease ends."""
    with pytest.raises(NothingReported, match="report or complete"), running:
        pass
    assert ended(client, running).state is TrialState.QUEUED


def test_a_result_that_lacks_an_objective_is_a_mistake(client: Client, running: RunningTrial) -> None:
    """The server's sentence reaches the program, and the trial has failed."""
    with pytest.raises(RequestRefused, match="needs the metric 'gain'"), running as trial:
        trial.report(step=1, cost=1.0)
    assert "gain" in (ended(client, running).state_reason or "")


def test_heartbeats_keep_a_silent_trial(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lease moves on while the block says nothing."""
    monkeypatch.setenv("PARETUNE_LEASE_SECONDS", "3")
    settings.settings.cache_clear()
    with client.study(queued_study()).trial() as trial:
        trial_id = trial.suggested.trial_id
        first = replicate_of(trial_id).lease_expires_at
        give_up = time.monotonic() + 20
        while replicate_of(trial_id).lease_expires_at == first:
            assert time.monotonic() < give_up
            time.sleep(0.05)
        trial.complete(**GOOD)
    assert ended(client, trial).attempt == 1


@pytest.mark.parametrize("lease_seconds", [3.0, 30.0, 33.0, 75.0, 3_600.0])
def test_heartbeats_come_every_third_of_a_lease_however_long_logs_take(
    lease_seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between them lines are sent, ten seconds apart at most."""
    now = 100.0
    monkeypatch.setattr("paretune.client.trial_block.monotonic", lambda: now)
    block = TrialBlock(SuggestedTrial.model_construct(), lease_seconds=lease_seconds)
    beats = [now]
    while len(beats) < 5:
        assert block.pause_seconds <= 10.0
        now += block.pause_seconds
        if block.owes_heartbeat():
            assert now - beats[-1] <= lease_seconds / 3 + 0.5
            beats.append(now)
        now += 0.5


def test_what_is_no_text_is_refused_where_it_is_said(client: Client, running: RunningTrial) -> None:
    """With a sentence, in both clients, whose logs are the same."""
    with running as trial:
        with pytest.raises(TypeError, match=r"trial\.log takes text, not dict"):
            trial.log({"epoch": 3})  # type: ignore[arg-type]
        trial.complete(**GOOD)
    assert ended(client, running).state is TrialState.SUCCEEDED


def test_a_lease_may_last_a_night_in_both_clients(server_url: str, client: Client) -> None:
    """And its heartbeats come every third of it."""
    study = client.study(queued_study(trials=3))
    asked = study.ask(lease_seconds=43_200.0)[0]
    assert asked.lease_seconds == 43_200.0
    with study.trial(lease_seconds=7_200) as trial:
        assert trial._block.heartbeat_seconds == 2_400.0
        assert trial._block.pause_seconds == 10.0
        assert not trial._block.owes_heartbeat()
        trial.complete(**GOOD)

    async def ask() -> float:
        async with AsyncClient(server_url, api_key=API_KEY) as other:
            async with await other.study(study.id).trial(lease_seconds=600) as trial:
                await trial.complete(**GOOD)
            return trial._block.heartbeat_seconds

    assert asyncio.run(ask()) == 200.0


def test_a_result_that_comes_after_its_lease_is_kept(server_url: str, client: Client) -> None:
    """By both clients, also where no heartbeat came through, as under work that blocks the event loop."""
    study = client.study(queued_study(trials=2))
    with study.trial() as trial:
        trial._stop_heartbeats()
        expire_all_leases()
        sweeper.sweep_once()
        trial.complete(**GOOD)

    async def late() -> None:
        async with (
            AsyncClient(server_url, api_key=API_KEY) as other,
            await other.study(study.id).trial() as trial,
        ):
            await trial.report(step=1, **GOOD)
            expire_all_leases()
            sweeper.sweep_once()

    asyncio.run(late())
    assert [item.state for item in study.trials()] == [TrialState.SUCCEEDED] * 2


def test_a_result_is_told_although_a_heartbeat_was_refused(client: Client, running: RunningTrial) -> None:
    """What the service does with it is for the service to say."""
    with running as trial:
        trial.report(step=1, **GOOD)
        trial._block.is_lost = True
    assert ended(client, running).state is TrialState.SUCCEEDED


@pytest.fixture
def away(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A server that does not answer the paths which end so, each once."""
    paths: list[str] = []
    send, send_async = Client.send, AsyncClient.send

    def check(request: Request[Any]) -> None:
        for path in [path for path in paths if request.path.endswith(path)]:
            paths.remove(path)
            raise ServerUnreachable("No server answers.")

    def once(self: Client, request: Request[Any]) -> Any:
        check(request)
        return send(self, request)

    async def once_async(self: AsyncClient, request: Request[Any]) -> Any:
        check(request)
        return await send_async(self, request)

    monkeypatch.setattr(Client, "send", once)
    monkeypatch.setattr(AsyncClient, "send", once_async)
    yield paths
    assert not paths


def test_a_result_that_no_server_took_is_told_again_at_the_end(
    server_url: str, client: Client, away: list[str]
) -> None:
    """By both clients: a finished training is no failure, and the loop goes on."""
    study = client.study(queued_study(trials=2))
    away.append(":complete")
    with study.trial() as trial:
        trial.complete(**GOOD)

    async def again() -> None:
        async with (
            AsyncClient(server_url, api_key=API_KEY) as other,
            await other.study(study.id).trial() as trial,
        ):
            away.append(":complete")
            await trial.complete(**GOOD)

    asyncio.run(again())
    assert [(item.state, item.metrics) for item in study.trials()] == [(TrialState.SUCCEEDED, GOOD)] * 2


def test_a_result_is_told_again_where_the_block_went_on(
    client: Client, running: RunningTrial, away: list[str]
) -> None:
    """Whoever catches that no server answers has told it all the same."""
    away.append(":complete")
    with running as trial, suppress(ServerUnreachable):
        trial.complete(**GOOD)
    assert ended(client, running).metrics == GOOD


def test_a_trial_whose_server_was_away_is_given_back(
    client: Client, running: RunningTrial, away: list[str]
) -> None:
    """It says nothing against the parameters, and costs none of the attempts."""
    away.append(":report")
    with pytest.raises(ServerUnreachable), running as trial:
        trial.report(step=1, cost=3.0)
    after = ended(client, running)
    assert (after.state, after.state_reason) == (TrialState.QUEUED, "its worker was stopped")
    assert replicate_of(after.id).lost_attempts == 0


def test_a_name_that_no_metric_has_is_refused_with_a_sentence(running: RunningTrial) -> None:
    """Before anything is sent."""
    with pytest.raises(CannotBeSent, match="val/acc"), running as trial:
        trial.report(step=1, **{"val/acc": 0.9})
    with pytest.raises(CannotBeSent, match="val/acc"):
        completion(running.suggested, {"val/acc": 0.9})
