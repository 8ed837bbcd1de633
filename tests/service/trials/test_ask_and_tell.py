"""Ask and tell over HTTP, for studies of the caller's own and for ours, on a real Postgres."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from api_schemas.ask_and_tell import SuggestedTrials, SuggestRequest
from service.events.feed import EventFeed
from service.storage.database import transaction
from service.storage.models import Study, Tenant, TrialMeasurement
from service.study_worker import advance_study
from service.trials import ask_and_tell, leases, lifecycle, sweeper
from tests.conftest import API_KEY, OTHER_KEY, study_body
from tests.service.trials.test_leases import expire_all_leases, forget_wake_ups, sent_by

IF_POLY = {"parameter": "kernel", "in": ["poly"]}
SPACE = {
    "parameters": [
        {"type": "float", "name": "learningRate", "low": 0.001, "high": 1.0, "log": True},
        {"type": "categorical", "name": "kernel", "choices": ["rbf", "poly"]},
        {"type": "int", "name": "degree", "low": 2, "high": 5, "when": IF_POLY},
    ]
}
POINT = {"learningRate": 0.1, "kernel": "rbf"}
METRICS = {"error": 0.25, "watts": 40.0}


def custom_body(**changes: object) -> dict[str, object]:
    return {
        "kind": "custom",
        "display_name": "a study of my own",
        "search_space": SPACE,
        "objectives": [
            {"metric": "error", "direction": "minimize", "log": True},
            {"metric": "watts", "direction": "minimize"},
        ],
        "budget": {"trials": 3},
        "parallelism": 2,
        "starting_points": [POINT],
        **changes,
    }


def created(http: TestClient, **changes: object) -> str:
    answer = http.post("/v1/studies", json=custom_body(**changes))
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def asked(http: TestClient, study_id: str, worker: str = "w", **body: object) -> list[dict[str, Any]]:
    answer = http.post(f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": worker, **body})
    assert answer.status_code == 200, answer.text
    return list(answer.json()["trials"])


def told(http: TestClient, trial: dict[str, Any], verb: str, **body: object) -> Any:
    path = f"/v1/studies/{trial['study_id']}/trials/{trial['trial_id']}:{verb}"
    return http.post(path, json={"attempt": trial["attempt"], **body})


def pointers(answer: Any) -> list[str]:
    assert answer.status_code == 422, answer.text
    return [item["pointer"] for item in answer.json()["errors"]]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"configuration": {"backbone": "b", "task": {"name": "t"}}}, "/configuration"),
        ({"search_space": {"preset": "lora"}}, "/search_space/preset"),
        ({"kind": "peft"}, "/configuration"),
        ({"starting_points": [{"kernel": "rbf"}]}, "/starting_points/0"),
        ({"starting_points": [{**POINT, "kernel": "poly"}]}, "/starting_points/0"),
        ({"starting_points": [{**POINT, "kernel": "sigmoid"}]}, "/starting_points/0/kernel"),
        ({"starting_points": [{**POINT, "gamma/~": 1}]}, "/starting_points/0/gamma~1~0"),
        ({"objectives": [{"metric": "stop", "direction": "minimize"}]}, "/objectives/0/metric"),
        (
            {"objectives": [{"metric": "e", "direction": "minimize", "log": True, "reference": 0}]},
            "/objectives/0/reference",
        ),
        ({"constraints": [{"metric": "error", "op": "<=", "bound": 0}]}, "/constraints/0/bound"),
        (
            {"search_space": {"parameters": [{"type": "categorical", "name": "a", "choices": ["x", "\0"]}]}},
            "/search_space/parameters/0/choices/1",
        ),
        (
            {"search_space": {"parameters": [{"type": "int", "name": "a", "low": 0, "high": 10**400}]}},
            "/search_space/parameters/0/high",
        ),
    ],
)
def test_a_custom_study_that_cannot_work_is_refused(
    http: TestClient, changes: dict[str, object], pointer: str
) -> None:
    """With a pointer to what is wrong."""
    assert pointer in pointers(http.post("/v1/studies", json=custom_body(**changes)))


def test_a_custom_metric_or_a_scale_is_nothing_for_our_workers(http: TestClient) -> None:
    """They yield what they yield, and the service knows its scale."""
    objectives = [
        {"metric": "watts", "direction": "minimize"},
        {"metric": "latency_ms", "direction": "minimize", "log": True},
    ]
    answer = http.post("/v1/studies", json=study_body(objectives=objectives))
    assert pointers(answer) == ["/objectives/0/metric", "/objectives/1/log"]


@pytest.mark.parametrize(
    "body",
    [
        {"worker_id": "host:7"},
        {"worker_id": ""},
        {"worker_id": "w", "count": 0},
        {"worker_id": "w", "count": 101},
        {"worker_id": "w", "wait_seconds": 21},
    ],
)
def test_a_wrong_question_is_refused(http: TestClient, body: dict[str, object]) -> None:
    """A colon stands in the names of our own workers only, so nobody can take their trials."""
    study_id = created(http)
    assert http.post(f"/v1/studies/{study_id}/trials:suggest", json=body).status_code == 422


def test_another_tenants_trials_are_not_there(http: TestClient) -> None:
    """Every verb answers 404 to a stranger's key."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    stranger = {"Authorization": f"Bearer {OTHER_KEY}"}
    path = f"/v1/studies/{study_id}/trials"
    for verb, body in {
        ":suggest": {"worker_id": "w"},
        ":import": {"observations": [{"parameters": POINT, "metrics": METRICS}]},
        f"/{trial['trial_id']}:heartbeat": {"attempt": 1},
        f"/{trial['trial_id']}:report": {"attempt": 1, "step": 0, "metrics": {}},
        f"/{trial['trial_id']}:complete": {"attempt": 1, "state": "SUCCEEDED", "metrics": METRICS},
        f"/{trial['trial_id']}:release": {"attempt": 1},
    }.items():
        assert http.post(path + verb, json=body, headers=stranger).status_code == 404, verb


def test_nothing_to_do_says_when_to_ask_again_and_wakes_nobody(
    http: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty list with Retry-After at once, and after the wait that was asked for.

    Whatever made the study want something has woken its worker.
    """
    study_id = created(http)
    sent: list[str] = []
    monkeypatch.setattr(
        "service.storage.database.send_wake_ups", lambda items: sent.extend(i.task for i in items)
    )
    for wait_seconds in (0, 0.3):
        answer = http.post(
            f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": "w", "wait_seconds": wait_seconds}
        )
        assert answer.json()["trials"] == []
        assert answer.headers["Retry-After"] == "1"
    assert sent == []


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once a runner has looked for work in vain."""
    seen = threading.Event()
    look = ask_and_tell._suggest_now

    def note(*arguments: Any, **named: Any) -> SuggestedTrials:
        answer = look(*arguments, **named)
        if not answer.trials:
            seen.set()
        return answer

    monkeypatch.setattr("service.trials.ask_and_tell._suggest_now", note)
    # Whoever is not rung for looks again when it is too late.
    monkeypatch.setattr(ask_and_tell, "LONGEST_SILENCE_SECONDS", 1000.0)
    return seen


def test_a_runner_that_waits_hears_of_a_trial_at_once(server_url: str, looked: threading.Event) -> None:
    """Through Postgres: the proposal's event rings for it."""
    headers = {"Authorization": f"Bearer {API_KEY}"}
    with httpx.Client(base_url=server_url, headers=headers, timeout=60) as client:
        study_id = client.post("/v1/studies", json=custom_body()).json()["id"]
        looked.clear()
        with ThreadPoolExecutor(1) as thread:
            body = {"worker_id": "w", "wait_seconds": 20}
            path = f"/v1/studies/{study_id}/trials:suggest"
            waiting = thread.submit(client.post, path, json=body)
            assert looked.wait(20)
            advance_study(study_id)
            trials = waiting.result().json()["trials"]
    assert [trial["parameters"] for trial in trials] == [POINT]


async def waited(study_id: str, feed: EventFeed, looked: threading.Event, *, gone: bool) -> SuggestedTrials:
    """Let a runner look in vain, queue a trial, and ring."""
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()

    async def is_gone() -> bool:
        return gone

    looked.clear()
    request = SuggestRequest(worker_id="w", wait_seconds=20)
    waiting = asyncio.create_task(
        ask_and_tell.suggest(study_id, request, tenant_id=tenant_id, feed=feed, is_gone=is_gone)
    )
    await asyncio.to_thread(looked.wait, 20)
    if gone:
        await asyncio.to_thread(advance_study, study_id)
        feed.ring(study_id)
    else:
        feed.close()
    return await asyncio.wait_for(waiting, timeout=15)


def test_whoever_hangs_up_is_handed_nothing(http: TestClient, looked: threading.Event) -> None:
    """The bell rings and nobody is there: the trial stays in the queue, and nobody watches any more."""
    study_id, feed = created(http), EventFeed()
    assert asyncio.run(waited(study_id, feed, looked, gone=True)).trials == ()
    assert feed.channels == {}
    assert len(asked(http, study_id)) == 1


def test_a_server_that_stops_keeps_nobody_waiting(http: TestClient, looked: threading.Event) -> None:
    """The feed that closes rings for everybody."""
    assert asyncio.run(waited(created(http), EventFeed(), looked, gone=False)).trials == ()


def test_a_worker_that_asks_again_gets_what_it_holds(http: TestClient) -> None:
    """Same trials, same attempts; another worker gets others, and the parallelism is a limit."""
    study_id = created(http)
    advance_study(study_id)
    (first,) = asked(http, study_id, "a")
    assert first["parameters"] == POINT
    assert first["configuration"] is None
    (second,) = asked(http, study_id, "b", count=5)
    assert second["trial_id"] != first["trial_id"]
    assert asked(http, study_id, "a", count=5) == [first]
    assert asked(http, study_id, "c") == []


def test_our_workers_leave_custom_trials_alone(http: TestClient) -> None:
    """They would not know what to train."""
    advance_study(created(http))
    assert leases.claim("host:1") is None


def test_the_sweeper_wakes_no_worker_of_ours_for_custom_trials(http: TestClient) -> None:
    """It would only ask the database in vain, again and again while a runner outside is away."""
    advance_study(created(http))
    forget_wake_ups()
    assert sent_by(sweeper.resend_wake_ups) == []


def test_a_lost_trial_takes_no_word_of_its_first_runner(http: TestClient) -> None:
    """After its lease another worker has it, and every verb of the late one is a 409 `stale-attempt`."""
    study_id = created(http)
    advance_study(study_id)
    (late,) = asked(http, study_id, "late")
    expire_all_leases()
    sweeper.sweep_once()
    (early,) = asked(http, study_id, "early")
    assert (early["trial_id"], early["attempt"]) == (late["trial_id"], 2)
    for verb, body in {
        "heartbeat": {},
        "report": {"step": 1, "metrics": {}},
        "complete": {"state": "SUCCEEDED", "metrics": METRICS},
        "release": {},
    }.items():
        answer = told(http, late, verb, **body)
        assert (answer.status_code, answer.json()["type"]) == (409, "/problems/stale-attempt"), verb


def test_a_report_that_does_not_fit_is_refused_and_costs_nothing(http: TestClient) -> None:
    """Missing, unscalable, reserved and unexplained things come back with pointers; the trial goes on."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    assert pointers(told(http, trial, "complete", state="SUCCEEDED", metrics={"watts": 1.0})) == ["/metrics"]
    no_log = {"error": 0.0, "watts": 1.0}
    assert pointers(told(http, trial, "complete", state="SUCCEEDED", metrics=no_log)) == ["/metrics/error"]
    assert pointers(told(http, trial, "complete", state="FAILED")) == ["/reason"]
    assert pointers(told(http, trial, "report", step=1, metrics={"stop": 1})) == ["/metrics/stop"]
    assert pointers(told(http, trial, "report", step=1, metrics={"error": 1e60})) == ["/metrics/error"]
    assert told(http, trial, "complete", state="STOPPED_EARLY").status_code == 409
    assert told(http, trial, "complete", state="SUCCEEDED", metrics=METRICS).json()["state"] == "SUCCEEDED"


def test_results_make_fronts_and_end_the_study(http: TestClient) -> None:
    """Measurements are kept, infeasible trials teach, and the third of three trials ends the study."""
    study_id = created(http)
    for number in range(3):
        advance_study(study_id)
        (trial,) = asked(http, study_id)
        assert trial["number"] == number
        measured = told(http, trial, "report", step=1, metrics={"error": 0.5})
        assert measured.json() == {"should_stop": False, "reason": None}
        if number == 1:
            ended = told(http, trial, "complete", state="INFEASIBLE", reason="no such matrix")
        else:
            metrics = {"error": 0.1 * (number + 1), "watts": 10.0 - number}
            ended = told(http, trial, "complete", state="SUCCEEDED", metrics=metrics)
        assert ended.status_code == 200
    study = http.get(f"/v1/studies/{study_id}").json()
    assert (study["state"], study["kind"], study["configuration"]) == ("SUCCEEDED", "custom", None)
    assert study["early_stopping"] == "never"
    front = http.get(f"/v1/studies/{study_id}/pareto_front").json()
    assert [point["number"] for point in front["points"]] == [0, 2]
    answer = http.post(f"/v1/studies/{study_id}/trials:suggest", json={"worker_id": "w", "wait_seconds": 5})
    assert answer.json() | {"lease_seconds": 0} == {
        "trials": [], "study_state": "SUCCEEDED", "lease_seconds": 0,
    }  # fmt: skip
    assert "Retry-After" not in answer.headers


def test_a_cancelled_study_stops_its_runners(http: TestClient) -> None:
    """Heartbeat and measurement say so; a released trial is cancelled, and so is the study."""
    study_id = created(http)
    advance_study(study_id)
    (trial,) = asked(http, study_id)
    http.post(f"/v1/studies/{study_id}:cancel")
    unwanted = {"should_stop": True, "reason": "not_wanted"}
    assert told(http, trial, "heartbeat").json() == unwanted
    assert told(http, trial, "report", step=1, metrics={"error": 1}).json() == unwanted
    assert told(http, trial, "release").json()["state"] == "CANCELLED"
    assert http.get(f"/v1/studies/{study_id}").json()["state"] == "CANCELLED"


def test_a_failed_trial_is_tried_again(http: TestClient) -> None:
    """Until its attempts are spent; what failed is not the parameters' fault."""
    study_id = created(http)
    advance_study(study_id)
    states = []
    for attempt in (1, 2, 3):
        (trial,) = asked(http, study_id)
        assert trial["attempt"] == attempt
        states.append(told(http, trial, "complete", state="FAILED", reason="disk").json()["state"])
    assert states == ["QUEUED", "QUEUED", "FAILED"]


def test_seeds_of_a_custom_trial_follow_its_study(http: TestClient) -> None:
    """Two replicates are two suggestions of one trial, with the study's seed and the next."""
    study_id = created(http, replicates=2, seed=7)
    advance_study(study_id)
    first, second = asked(http, study_id, count=2)
    assert first["trial_id"] == second["trial_id"]
    assert (first["seed"], second["seed"]) == (7, 8)
    told(http, first, "complete", state="SUCCEEDED", metrics=METRICS)
    ended = told(http, second, "complete", state="SUCCEEDED", metrics={"error": 0.75, "watts": 40.0})
    assert ended.json()["metrics"]["error"] == pytest.approx(0.5)


def test_a_peft_study_may_be_run_from_outside(http: TestClient) -> None:
    """The suggestion carries the configuration, with the replicate's own seed."""
    study_id = str(http.post("/v1/studies", json=study_body(replicates=2, parallelism=2)).json()["id"])
    with transaction() as own:
        study = own.get_one(Study, study_id)
        lifecycle.add_trial(
            own, study, parameters={}, configuration=study.configuration, configuration_key="k",
            generated_by="test", proposal_seconds=0.0,
        )  # fmt: skip
    first, second = asked(http, study_id, count=2)
    assert [item["configuration"]["training"]["seed"] for item in (first, second)] == [0, 1]
    assert first["configuration"]["backbone"] == "all-MiniLM-L6-v2"


def test_a_trial_that_was_told_to_stop_may_say_so(http: TestClient) -> None:
    """Its last measurement stands for it, with the sentence that says why."""
    study_id = str(http.post("/v1/studies", json=study_body()).json()["id"])
    with transaction() as own:
        study = own.get_one(Study, study_id)
        lifecycle.add_trial(
            own, study, parameters={}, configuration=study.configuration, configuration_key="k",
            generated_by="test", proposal_seconds=0.0,
        )  # fmt: skip
    (trial,) = asked(http, study_id)
    metrics = {"score": 0.5, "trainable_parameters": 9.0, "share": 0.5, "chance": 0.01, "stop": 1.0}
    with transaction() as own:
        own.add(TrialMeasurement(trial_id=trial["trial_id"], attempt=1, step=1, metrics=metrics))
    again = told(http, trial, "report", step=1, metrics={"score": 0.5})
    assert again.json() == {"should_stop": True, "reason": "stopped_early"}
    ended = told(http, trial, "complete", state="STOPPED_EARLY").json()
    assert (ended["state"], ended["metrics"]["score"]) == ("STOPPED_EARLY", 0.5)
    assert "1.0%" in ended["state_reason"]
