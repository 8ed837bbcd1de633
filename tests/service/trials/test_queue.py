"""The queue of proposed trials: kept full, brought up to date by results, safe against claims."""

import random
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from itertools import count

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from api_schemas.events import EventType
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyState
from api_schemas.trials import ClaimedTrial, TrialReport, TrialState
from service.errors import WrongState
from service.optimization.problem import Suggestion
from service.optimization.suggest import suggest
from service.storage import queries
from service.storage.database import engine, transaction
from service.storage.models import Event, Study, Tenant, Trial
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.suggestions import revision
from service.suggestions.study_suggestions import SuggestionRequest, read_request, store_suggestions
from service.trials import leases
from tests.conftest import make_study_request

pytestmark = pytest.mark.usefixtures("service_environment")

SIZES = (1, 3, 6, 12, 24, 48, 96, 192, 384)


def stored(**changes: object) -> str:
    proposals = {"ahead": 2, "default_starting_points": False}
    request = make_study_request(**{"proposals": proposals, "budget": {"trials": 9}, **changes})
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        return create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id).id


def adapter(size: int) -> Parameterization:
    layers: Parameterization = {f"peft.active_layers.{layer}": True for layer in range(6)}
    return {
        "peft.serial_adapter.bottleneck_size": size,
        "peft.parallel_adapter.bottleneck_size": 0,
        "peft.prefix_tuning.length": 0,
        **layers,
    }


def distinct(number: int) -> Parameterization:
    """Another legal adapter for each number below 81."""
    return adapter(SIZES[number % 9]) | {"peft.parallel_adapter.bottleneck_size": SIZES[number // 9]}


def ask(study_id: str) -> SuggestionRequest:
    with transaction() as session:
        request = read_request(session, study_id)
    assert request is not None
    return request


def answer(
    study_id: str, request: SuggestionRequest, sizes: Sequence[int], *, generated_by: str = "logehvi"
) -> None:
    suggestions = [Suggestion(adapter(size), generated_by) for size in sizes]
    with transaction() as session:
        store_suggestions(session, study_id, suggestions, request=request, seconds=0.1)


def claim() -> ClaimedTrial:
    claimed = leases.claim("w")
    assert claimed is not None
    return claimed


def finish(claimed: ClaimedTrial, *, state: TrialState = TrialState.SUCCEEDED, score: float = 0.7) -> None:
    metrics = {"score": score, "trainable_parameters": 1000.0}
    report = TrialReport.model_validate({"state": state, "reason": "r", "metrics": metrics})
    leases.complete(claimed.trial_id, claimed.attempt, report)


def queued_sizes(study_id: str) -> dict[int, int]:
    """Bottleneck size by trial number, of all trials."""
    with transaction() as session:
        trials = queries.list_trials(session, study_id)
        return {
            trial.number: trial.configuration["peft"]["serial_adapter"]["bottleneck_size"] for trial in trials
        }


def after_a_result() -> tuple[str, SuggestionRequest]:
    """A study with a result of size 1, with 3 and 6 in the queue, and what it then asks for."""
    study_id = stored()
    answer(study_id, ask(study_id), [1, 3, 6])
    finish(claim())
    return study_id, ask(study_id)


def test_a_new_study_begins_with_the_default_starting_points() -> None:
    """The optimiser is handed them; what the space lacks (LoRA here) is not among them."""
    study_id = stored(proposals={}, parallelism=2)
    request = ask(study_id)
    suggestions = suggest(
        request.problem, request.observations, pending=request.pending, count=request.count,
        seed=request.seed, time_limit_seconds=request.time_limit_seconds,
    )  # fmt: skip
    with transaction() as session:
        store_suggestions(session, study_id, suggestions, request=request, seconds=0.1)
        rules = [trial.generated_by for trial in queries.list_trials(session, study_id)]
    assert rules == ["starting_point", "starting_point", "initial_design"]
    sizes = list(queued_sizes(study_id).values())
    assert sizes[:2] == [24, 0]


def test_a_result_brings_the_queue_up_to_date() -> None:
    """What is still wanted stays, what is not is replaced in its place, and the withdrawn one is told."""
    study_id, request = after_a_result()
    assert (request.count, len(request.outdated), request.known_results) == (3, 2, 1)
    assert request.pending == ()
    with transaction() as session:
        before = {trial.number: trial.id for trial in queries.list_trials(session, study_id)}
    answer(study_id, request, [6, 12, 24])
    assert queued_sizes(study_id) == {0: 1, 1: 12, 2: 6, 3: 24}
    with transaction() as session:
        trials = {trial.number: trial for trial in queries.list_trials(session, study_id)}
        assert {number: trials[number].id for number in before} == before
        assert session.get_one(Study, study_id).trials_created == 4
        assert trials[1].parameters == adapter(12)
        (event,) = session.scalars(select(Event).where(Event.type == EventType.TRIAL_REVISED))
        assert (event.trial_id, event.body) == (before[1], {"withdrawn": adapter(3)})


def test_the_queue_is_proposed_anew_once_for_each_result() -> None:
    """Further wake-ups, and a second study worker that thought at the same time, change nothing."""
    study_id, request = after_a_result()
    answer(study_id, request, [12, 24, 48])
    answer(study_id, request, [96, 192, 384])
    assert queued_sizes(study_id) == {0: 1, 1: 12, 2: 24, 3: 48}
    with transaction() as session:
        assert read_request(session, study_id) is None


def test_reading_what_to_propose_waits_for_nobody() -> None:
    """Another transaction may hold the study meanwhile: former studies take a while to read."""
    study_id = stored()
    with transaction() as session:
        queries.lock_study(session, study_id)
        with transaction() as reading:
            reading.execute(text("SET LOCAL lock_timeout = '100ms'"))
            assert read_request(reading, study_id) is not None


def test_a_trial_claimed_while_the_optimiser_thinks_is_left_alone() -> None:
    """A free worker does not wait; its trial trains what it was handed."""
    study_id, request = after_a_result()
    claimed = claim()
    answer(study_id, request, [12, 24, 48])
    assert claimed.configuration.peft.serial_adapter.bottleneck_size == 3
    assert queued_sizes(study_id) == {0: 1, 1: 3, 2: 12, 3: 24}
    finish(claimed)


def test_a_trial_given_back_is_left_alone() -> None:
    """It is queued again, yet a worker has begun it: its measurements are of that configuration."""
    study_id, _ = after_a_result()
    claimed = claim()
    leases.release(claimed.trial_id, claimed.attempt)
    assert len(ask(study_id).outdated) == 1
    with transaction() as session:
        study, trial = leases.lock_study_and_trial(session, claimed.trial_id)
        with pytest.raises(WrongState, match="begun"):
            revision.revise_trial(session, study, trial)


def test_a_worker_that_claims_during_a_revision_gets_the_new_configuration() -> None:
    """The claim waits for the study's lock, and reads the trial after it."""
    study_id, request = after_a_result()
    suggestions = [Suggestion(adapter(size), "logehvi") for size in (12, 24, 48)]
    with ThreadPoolExecutor(1) as pool, Session(engine()) as session, session.begin():
        store_suggestions(session, study_id, suggestions, request=request, seconds=0.1)
        session.flush()
        claimed = pool.submit(claim)
        assert not wait([claimed], timeout=0.2).done
        session.commit()
        assert claimed.result().configuration.peft.serial_adapter.bottleneck_size == 12


def test_claims_and_revisions_at_once_lose_nothing() -> None:
    """Every worker trains what its trial's row says in the end, and no trial is made or lost."""
    study_id = stored(budget={"trials": 40}, parallelism=8)
    answer(study_id, ask(study_id), SIZES[1:])
    finish(claim())
    request = ask(study_id)
    barrier = threading.Barrier(5)

    def take(_: int) -> ClaimedTrial:
        barrier.wait()
        return claim()

    with ThreadPoolExecutor(4) as pool:
        claims = pool.map(take, range(4))
        barrier.wait()
        fresh = [Suggestion({**adapter(size), "peft.prefix_tuning.length": 6}, "logehvi") for size in SIZES]
        with transaction() as session:
            store_suggestions(session, study_id, fresh, request=request, seconds=0.1)
    with transaction() as session:
        rows = {trial.id: trial.configuration for trial in queries.list_trials(session, study_id)}
    for claimed in claims:
        assert claimed.configuration.model_dump(mode="json") == rows[claimed.trial_id]


@pytest.mark.parametrize("rule", ["starting_point", "initial_design"])
def test_what_was_not_modelled_is_not_reconsidered(rule: str) -> None:
    """The user's own points and the spread design are wanted whatever the results are."""
    study_id = stored()
    answer(study_id, ask(study_id), [1, 3, 6], generated_by=rule)
    finish(claim())
    request = ask(study_id)
    assert (request.count, request.outdated, len(request.pending)) == (1, frozenset(), 2)


@pytest.mark.parametrize("rule", ["time_limit", "fallback_random"])
def test_a_modelled_proposal_does_not_give_way_to_a_sampled_one(rule: str) -> None:
    """The queue is filled with it, where it lacks something, and that is all."""
    study_id, request = after_a_result()
    answer(study_id, request, [12, 24, 48], generated_by=rule)
    assert queued_sizes(study_id) == {0: 1, 1: 3, 2: 6, 3: 12}
    finish(claim())
    assert len(ask(study_id).outdated) == 2


def test_the_last_trials_of_a_budget_are_brought_up_to_date_too() -> None:
    """Nothing is added beyond the budget."""
    study_id = stored(budget={"trials": 3})
    answer(study_id, ask(study_id), [1, 3, 6])
    finish(claim())
    request = ask(study_id)
    assert request.count == 2
    answer(study_id, request, [12, 24, 48])
    assert queued_sizes(study_id) == {0: 1, 1: 12, 2: 24}


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    parallelism=st.integers(1, 6),
    budget=st.integers(1, 12),
    steps=st.lists(st.sampled_from(["claim", "succeed", "infeasible", "lose"]), max_size=20),
    seed=st.integers(0, 99),
)
def test_no_worker_idles_while_budget_is_left(
    parallelism: int, budget: int, steps: list[str], seed: int
) -> None:
    """After each advance as many trials are open as workers and the head start want, or the budget has."""
    study_id = stored(parallelism=parallelism, budget={"trials": budget})
    rng = random.Random(seed)
    numbers = count()
    running: list[ClaimedTrial] = []
    for step in ["claim", *steps]:
        with transaction() as session:
            request = read_request(session, study_id)
        if request is not None:
            # A space of 81: what was withdrawn comes again once they have all been suggested.
            suggestions = [Suggestion(distinct(next(numbers) % 81), "logehvi") for _ in range(request.count)]
            with transaction() as session:
                store_suggestions(session, study_id, suggestions, request=request, seconds=0.0)
        with transaction() as session:
            states = [trial.state for trial in queries.list_trials(session, study_id)]
            study = session.get_one(Study, study_id)
            ended = sum(state not in (TrialState.QUEUED, TrialState.RUNNING) for state in states)
            assert len(states) - ended == min(parallelism + 2, budget - ended)
            assert study.trials_created == len(states) <= budget
            assert (study.state is StudyState.SUCCEEDED) == (ended == budget)
        if step == "claim" and (claimed := leases.claim("w")) is not None:
            running.append(claimed)
        elif running and step == "lose":
            one = running.pop(rng.randrange(len(running)))
            leases.release(one.trial_id, one.attempt)
        elif running and step != "claim":
            state = TrialState.SUCCEEDED if step == "succeed" else TrialState.INFEASIBLE
            finish(running.pop(rng.randrange(len(running))), state=state)
    with transaction() as session:
        # Another example's workers must find nothing of this one.
        for study in session.scalars(select(Study).where(Study.state == StudyState.ACTIVE)):
            steering.pause(session, study)


def test_the_reference_point_is_pinned_and_told_to_the_optimiser() -> None:
    """Training seconds have no natural bound: after five results the worst decides, and stays."""
    objectives = [
        {"metric": "score", "direction": "maximize"},
        {"metric": "training_seconds", "direction": "minimize"},
    ]
    study_id = stored(objectives=objectives)
    seen = []
    answer(study_id, ask(study_id), [1, 3, 6])
    for number, seconds in enumerate([10.0, 20.0, 30.0, 40.0, 50.0, 500.0]):
        claimed = claim()
        report = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.6, "training_seconds": seconds})
        leases.complete(claimed.trial_id, claimed.attempt, report)
        request = ask(study_id)
        seen.append(request.problem.reference_point)
        fresh = [Suggestion(distinct(20 + 3 * number + each), "logehvi") for each in range(3)]
        with transaction() as session:
            store_suggestions(session, study_id, fresh, request=request, seconds=0.1)
    assert seen == [None] * 4 + [(0.5, pytest.approx(54.0))] * 2
    with transaction() as session:
        assert session.get_one(Study, study_id).reference_point == pytest.approx([0.5, 54.0])
        assert session.scalar(select(func.count()).select_from(Trial)) == 9
