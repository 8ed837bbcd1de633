"""The last lines of a trial's attempts: who may write them, who reads them, what is kept."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import delete, event, func, select, text

from api_schemas.log_tail import LastLines
from api_schemas.trial_logs import LONGEST_LOG, MOST_ATTEMPTS
from api_schemas.trials import TrialReport, TrialState
from service.errors import StaleAttempt
from service.storage.database import engine, transaction
from service.storage.models import Replicate, Trial
from service.study_worker import advance_study
from service.trials import leases, sweeper
from tests.conftest import OTHER_KEY
from tests.service.trials.test_ask_and_tell import asked, created
from tests.service.trials.test_leases import expire_all_leases, stored_study

LINES = LastLines("step 1\nstep 2", 0)


def logs(client: TestClient, study_id: str, trial_id: str) -> list[dict[str, Any]]:
    answer = client.get(f"/v1/studies/{study_id}/trials/{trial_id}/logs")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["logs"])


def claimed_trial() -> tuple[str, str]:
    study_id = stored_study(trials=1)
    claimed = leases.claim("host:1")
    assert claimed is not None
    return study_id, claimed.trial_id


def test_a_trial_that_said_nothing_has_no_log(client: TestClient) -> None:
    """An empty list; a trial or a study that is not there, or is another tenant's, is a 404."""
    study_id, trial_id = claimed_trial()
    assert logs(client, study_id, trial_id) == []
    path = f"/v1/studies/{study_id}/trials/{trial_id}/logs"
    of_others = client.get(path, headers={"Authorization": f"Bearer {OTHER_KEY}"})
    without_trial = client.get(f"/v1/studies/{study_id}/trials/trl_0/logs")
    without_study = client.get(f"/v1/studies/std_0/trials/{trial_id}/logs")
    assert [found.status_code for found in (of_others, without_trial, without_study)] == [404, 404, 404]
    assert (
        client.post(f"/v1/studies/{study_id}/trials/{trial_id}:log", json={"attempt": 1}).status_code == 422
    )


def test_a_late_attempt_writes_over_nothing(client: TestClient) -> None:
    """Once another has begun, or the trial is over, its lines are refused; those it had sent stay."""
    study_id, trial_id = claimed_trial()
    leases.store_log(trial_id, 1, LINES)
    expire_all_leases()
    sweeper.sweep_once()
    leases.store_log(trial_id, 1, LastLines("heard while nobody else has the trial", 0))
    again = leases.claim("host:2")
    assert again is not None
    leases.store_log(trial_id, 2, LINES)
    for attempt in (1, 3):
        with pytest.raises(StaleAttempt, match="another attempt"):
            leases.store_log(trial_id, attempt, LastLines("too late", 0))
    leases.complete(trial_id, 2, TrialReport(state=TrialState.INFEASIBLE, reason="no"))
    with pytest.raises(StaleAttempt, match="INFEASIBLE"):
        leases.store_log(trial_id, 2, LastLines("after the end", 0))
    with pytest.raises(StaleAttempt, match="gone"):
        leases.store_log("trl_0", 1, LINES)
    assert [(log["attempt"], log["replicate"], log["text"]) for log in logs(client, study_id, trial_id)] == [
        (1, 0, "heard while nobody else has the trial"),
        (2, 0, LINES.text),
    ]


def test_a_trial_that_vanishes_under_its_writer_is_stale(service_environment: None) -> None:
    """Its study was deleted meanwhile; that is no error of the database."""
    _, trial_id = claimed_trial()
    waits = select(func.count()).select_from(text("pg_locks WHERE NOT granted"))
    with ThreadPoolExecutor(1) as writer:
        with transaction() as session:
            session.execute(delete(Replicate).where(Replicate.trial_id == trial_id))
            session.execute(delete(Trial).where(Trial.id == trial_id))
            writing = writer.submit(leases.store_log, trial_id, 1, LINES)
            while not session.scalar(waits):
                time.sleep(0.01)
        with pytest.raises(StaleAttempt, match="gone"):
            writing.result()


def test_what_a_runner_outside_says_is_cut_and_cleaned(client: TestClient) -> None:
    """Escapes, secrets, too many lines; a NUL or too long a text is refused, a stale attempt is a 409."""
    study_id = created(client)
    advance_study(study_id)
    [trial] = asked(client, study_id)
    path = f"/v1/studies/{study_id}/trials/{trial['trial_id']}"

    def send(text: object, **body: object) -> int:
        return client.post(f"{path}:log", json={"attempt": 1, "text": text, **body}).status_code

    assert send("a\0b") == 422
    assert send(["a line"]) == 422
    assert send(None) == 422
    raw = b'{"attempt": 1, "text": "half of \\ud83d"}'
    headers = {"Content-Type": "application/json"}
    assert client.post(f"{path}:log", content=raw, headers=headers).status_code == 422
    assert client.post(f"{path}:log", content=raw[:20], headers=headers).status_code in (400, 422)
    assert client.post(f"{path}:log", content=b'{"text": "\xff"}', headers=headers).status_code in (400, 422)
    assert send("x" * (LONGEST_LOG + 1)) == 422
    assert send("a line", omitted_lines=-1) == 422
    assert send("a line", attempt=2) == 409
    assert send("\n".join([*map(str, range(300)), "\x1b[31m<b>", "password=hunter2hunter2"])) == 204
    [log] = logs(client, study_id, trial["trial_id"])
    assert log["text"].endswith("299\n<b>\npassword=[redacted]")
    assert log["omitted_lines"] == 102
    assert send("the last lines", omitted_lines=2**31 - 1) == 204
    [log] = logs(client, study_id, trial["trial_id"])
    assert (log["text"], log["omitted_lines"]) == ("the last lines", 2**31 - 1)


def test_news_of_a_log_are_seen_though_the_study_has_not_changed(client: TestClient) -> None:
    """Its entity tag is its own: 304 while nothing was said, 200 once something was."""
    study_id, trial_id = claimed_trial()
    path = f"/v1/studies/{study_id}/trials/{trial_id}/logs"
    leases.store_log(trial_id, 1, LINES)
    known = {"If-None-Match": client.get(path).headers["ETag"]}
    assert client.get(path, headers=known).status_code == 304
    leases.store_log(trial_id, 1, LastLines("step 3", 2))
    answer = client.get(path, headers=known)
    assert (answer.status_code, answer.json()["logs"][0]["omitted_lines"]) == (200, 2)


def test_what_killed_a_worker_stands_in_the_log_of_its_trial(client: TestClient) -> None:
    """Below what the trial had said; other workers' trials get nothing."""
    study_id, trial_id = claimed_trial()
    leases.store_log(trial_id, 1, LastLines("step 7", 6))
    assert leases.log_for("host:2", "killed") == 0
    assert leases.log_for("host:1", "killed by signal 9") == 1
    [log] = logs(client, study_id, trial_id)
    assert (log["text"], log["omitted_lines"]) == ("step 7\nkilled by signal 9", 6)


def test_what_killed_a_worker_is_no_news_of_trials_that_it_has_lost(client: TestClient) -> None:
    """The worker went on to another trial, and was killed in that one."""
    study_id, lost = claimed_trial()
    leases.store_log(lost, 1, LINES)
    expire_all_leases()
    sweeper.sweep_once()
    assert leases.log_for("host:1", "killed") == 0
    assert [log["text"] for log in logs(client, study_id, lost)] == [LINES.text]


def test_what_killed_a_worker_is_said_although_a_trial_of_it_vanishes(client: TestClient) -> None:
    """The other trials of its pack hear it; the parent hears no error."""
    _, vanishing = claimed_trial()
    study_id, other = claimed_trial()
    waits = select(func.count()).select_from(text("pg_locks WHERE NOT granted"))
    with ThreadPoolExecutor(1) as parent:
        with transaction() as session:
            session.execute(delete(Replicate).where(Replicate.trial_id == vanishing))
            session.execute(delete(Trial).where(Trial.id == vanishing))
            telling = parent.submit(leases.log_for, "host:1", "killed")
            while not session.scalar(waits):
                time.sleep(0.01)
        assert telling.result() == 1
    assert [log["text"] for log in logs(client, study_id, other)] == ["killed"]


def test_nothing_is_looked_for_to_delete_before_there_can_be_any(service_environment: None) -> None:
    """Lines come with every heartbeat, and few trials have so many attempts."""
    _, trial_id = claimed_trial()
    said: list[str] = []
    listen = (engine(), "before_cursor_execute", lambda *words: said.append(words[2]))
    event.listen(*listen)
    try:
        leases.store_log(trial_id, 1, LINES)
    finally:
        event.remove(*listen)
    assert [statement for statement in said if "INSERT INTO attempt_logs" in statement]
    assert not [statement for statement in said if "DELETE" in statement]


def test_only_the_last_attempts_of_a_trial_have_logs(client: TestClient) -> None:
    """However often a trial is given back."""
    study_id, trial_id = claimed_trial()
    for attempt in range(1, MOST_ATTEMPTS + 3):
        leases.store_log(trial_id, attempt, LINES)
        leases.release(trial_id, attempt)
        assert leases.claim("host:1") is not None
    kept = [log["attempt"] for log in logs(client, study_id, trial_id)]
    assert kept == list(range(3, MOST_ATTEMPTS + 3))
