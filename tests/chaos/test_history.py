"""Each invariant against a good history, and against one that breaks it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from service.storage.models import Event, Replicate, StoredFront, Study, Trial, TrialMeasurement
from tests.chaos import history as invariants
from tests.chaos.front_history import fronts_are_told, fronts_equal_recomputed_ones
from tests.chaos.history import INVARIANTS, History, Posting, one_effect_per_key

ALL = (*INVARIANTS, fronts_equal_recomputed_ones, fronts_are_told)
Rows = list[Any]
OBJECTIVES = [
    {"metric": "error", "direction": "minimize"},
    {"metric": "gain", "direction": "maximize"},
]


def event(type_: str, trial: str | None = None, attempt: int | None = None, **body: object) -> Event:
    return Event(study_id="s", type=type_, trial_id=trial, attempt=attempt, body=body)


def ended(trial: str, attempt: int, state: str = "SUCCEEDED") -> Event:
    return event("replicate.ended", trial, attempt, replicate=0, state=state)


def good_events() -> Rows:
    """Trial a is lost, then late; b succeeds after a pause and an extension; c is dropped."""
    return [
        event("study.created"),
        event("trial.queued", "a", 0),
        event("trial.started", "a", 1, replicate=0),
        event("trial.measured", "a", 1, replicate=0, step=1),
        event("trial.requeued", "a", 1, replicate=0),
        event("trial.started", "a", 2, replicate=0),
        event("trial.measured", "a", 2, replicate=0, step=1),
        event("trial.measured", "a", 2, replicate=0, step=2),
        event("trial.requeued", "a", 2, replicate=0),
        event("trial.resumed", "a", 2, replicate=0),
        event("study.paused"),
        ended("a", 2),
        event("trial.succeeded", "a", 2),
        event("front.stored", "a", 2, sequence=1),
        event("study.extended", trials=2, budget=3),
        event("study.resumed"),
        event("trial.queued", "b", 0),
        event("trial.started", "b", 1, replicate=0),
        event("trial.queued", "c", 0),
        ended("b", 1),
        event("trial.succeeded", "b", 1),
        event("front.stored", "b", 1, sequence=2),
        event("study.cancelling"),
        ended("c", 0, "CANCELLED"),
        event("trial.cancelled", "c", 0),
        event("study.cancelled"),
    ]


def made(events: Rows, *, sequences: list[int] | None = None, **study: object) -> History:
    """The history with these events; the rows are those of the good one unless told otherwise."""
    numbers = sequences or range(1, len(events) + 1)
    for row, number in zip(events, numbers, strict=True):
        row.sequence = number
    columns: dict[str, Any] = {
        "state": StudyState.CANCELLED,
        "trial_budget": 3,
        "trials_created": 3,
        "front_sequence": 2,
        "event_sequence": len(events),
        "objectives": OBJECTIVES,
        "constraints": [],
        **study,
    }
    results = {"a": {"error": 1.0, "gain": 1.0}, "b": {"error": 2.0, "gain": 4.0}, "c": {}}
    states = {"a": TrialState.SUCCEEDED, "b": TrialState.SUCCEEDED, "c": TrialState.CANCELLED}
    attempts = {"a": 2, "b": 1, "c": 0}
    return History(
        study=Study(id="s", **columns),
        events=events,
        trials=[
            Trial(id=one, number=place, state=states[one], attempt=attempts[one])
            for place, one in enumerate("abc")
        ],
        replicates=[
            Replicate(trial_id=one, number=0, state=states[one], attempt=attempts[one], metrics=results[one])
            for one in "abc"
        ],
        measurements=[
            TrialMeasurement(trial_id="a", attempt=attempt, step=step)
            for attempt, step in ((1, 1), (2, 1), (2, 2))
        ],
        fronts=[
            StoredFront(
                sequence=1, trial_id="a", member_trial_ids=["a"], reference_point=[3.0, 0.0], hypervolume=2.0
            ),
            StoredFront(
                sequence=2,
                trial_id="b",
                member_trial_ids=["a", "b"],
                reference_point=[3.0, 0.0],
                hypervolume=5.0,
            ),
        ],
    )


def broken(history: History) -> list[str]:
    return [invariant.__name__ for invariant in ALL if list(invariant(history))]


def find(events: Rows, type_: str, trial: str | None = None, attempt: int | None = None) -> int:
    return next(
        place
        for place, row in enumerate(events)
        if (row.type, row.trial_id) == (type_, trial) and attempt in (None, row.attempt)
    )


def after(type_: str, trial: str | None, new: Event) -> Callable[[Rows], None]:
    return lambda events: events.insert(find(events, type_, trial) + 1, new)


def without(type_: str, trial: str | None, attempt: int | None = None) -> Callable[[Rows], None]:
    return lambda events: events.pop(find(events, type_, trial, attempt))


def renumbered(events: Rows) -> None:
    events[find(events, "trial.started", "b")].attempt = 3


def test_a_good_history_breaks_nothing() -> None:
    """A lost attempt, a pause, an extension and a cancellation are all in order."""
    assert broken(made(good_events())) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (
            after("study.cancelled", None, event("study.resumed")),
            invariants.a_study_moves_as_its_machine_allows,
        ),
        (without("study.cancelled", None), invariants.a_study_moves_as_its_machine_allows),
        (without("study.resumed", None), invariants.nothing_is_leased_unless_active),
        (
            after("study.extended", None, event("study.extended", trials=1, budget=9)),
            invariants.trials_never_exceed_the_budget,
        ),
        (after("trial.succeeded", "a", event("trial.succeeded", "a", 2)), invariants.a_trial_ends_once),
        (after("trial.succeeded", "a", event("trial.failed", "a", 2)), invariants.a_trial_ends_once),
        (without("trial.cancelled", "c"), invariants.a_trial_ends_once),
        (renumbered, invariants.attempts_strictly_increase),
        (without("trial.started", "a", 1), invariants.attempts_strictly_increase),
        (without("trial.requeued", "a"), invariants.only_the_holder_writes),
        (without("trial.requeued", "a", 2), invariants.only_the_holder_writes),
        (without("trial.resumed", "a"), invariants.only_the_holder_writes),
        (
            after("trial.succeeded", "b", event("trial.resumed", "b", 1, replicate=0)),
            invariants.only_the_holder_writes,
        ),
        (after("trial.succeeded", "b", ended("b", 1)), invariants.only_the_holder_writes),
        (without("replicate.ended", "b"), invariants.only_the_holder_writes),
        (without("trial.measured", "a"), invariants.measurements_follow_their_steps),
        (without("front.stored", "b"), fronts_are_told),
        (without("trial.succeeded", "b"), fronts_equal_recomputed_ones),
    ],
)
def test_damage_to_the_events_is_found(
    damage: Callable[[Rows], None], expected: Callable[[History], object]
) -> None:
    """An event too many, too few or out of place breaks the invariant that it is about."""
    events = good_events()
    damage(events)
    assert expected.__name__ in broken(made(events))


def test_a_write_of_an_attempt_after_the_next_began_is_found() -> None:
    """The fence let a late measurement through, and nothing else is wrong."""
    events = good_events()
    events.insert(
        find(events, "trial.started", "a", 2) + 1, event("trial.measured", "a", 1, replicate=0, step=2)
    )
    history = made(events)
    history.measurements.append(TrialMeasurement(trial_id="a", attempt=1, step=2))  # type: ignore[attr-defined]
    assert broken(history) == ["only_the_holder_writes"]


def test_steps_that_go_back_are_found() -> None:
    """An attempt measures step 2 before step 1."""
    events = good_events()
    first = find(events, "trial.measured", "a", 2)
    events[first], events[first + 1] = events[first + 1], events[first]
    assert broken(made(events)) == ["measurements_follow_their_steps"]


def test_a_doubled_number_is_found() -> None:
    """Two events that share a number, and a counter that is behind."""
    events = good_events()
    doubled = [*range(1, len(events)), len(events) - 1]
    assert broken(made(events, sequences=doubled)) == ["numbers_have_no_gap_and_no_double"]


def test_a_trial_too_many_is_found_at_its_event() -> None:
    """The budget that counts is the one at that moment, not the last one."""
    events = good_events()
    extension = events.pop(find(events, "study.extended"))
    events.insert(find(events, "trial.queued", "c") + 1, extension)
    assert broken(made(events)) == ["trials_never_exceed_the_budget"]


def test_seeds_of_a_race_count_for_the_budget() -> None:
    """Those of its rounds and those of the first trials; more than were allowed are found."""
    events = good_events()
    events[find(events, "trial.queued", "a", 0)].body = {"further_seeds": 2}
    events[find(events, "study.extended")].body = {"trials": 2, "budget": 7}
    events.insert(find(events, "study.cancelling"), event("race.round", trial_ids=["a", "b"]))
    assert broken(made(events, trial_budget=7, trials_created=7)) == []
    events[find(events, "study.extended")].body = {"trials": 2, "budget": 6}
    assert "trials_never_exceed_the_budget" in broken(made(events, trial_budget=6, trials_created=7))
    events[find(events, "study.extended")].body = {"trials": 2, "budget": 7}
    assert "trials_never_exceed_the_budget" in broken(made(events, trial_budget=7, trials_created=5))


@pytest.mark.parametrize(
    ("place", "changes"),
    [
        (1, {"member_trial_ids": ["b"]}),
        (1, {"member_trial_ids": ["a", "b", "b"]}),
        (1, {"hypervolume": 6.0}),
        (0, {"trial_id": "b"}),
    ],
)
def test_a_front_that_does_not_follow_is_found(place: int, changes: dict[str, object]) -> None:
    """Members, volume and the result that it stands for are all recomputed."""
    history = made(good_events())
    for name, value in changes.items():
        setattr(history.fronts[place], name, value)
    assert broken(history) == ["fronts_equal_recomputed_ones"]


def test_a_constraint_keeps_a_trial_off_the_front() -> None:
    """A front with a trial that breaks a bound is wrong."""
    bound = {"metric": "error", "op": "<=", "bound": 1.5}
    assert broken(made(good_events(), constraints=[bound])) == ["fronts_equal_recomputed_ones"]


def test_an_imported_trial_has_its_results_without_attempts_of_its_own() -> None:
    """A clone begins with the attempts, states and metrics of its source, and one front for all of them."""
    history = made(
        [
            event("study.created"),
            *(event("trial.imported", one, state="SUCCEEDED") for one in "ab"),
            event("trial.imported", "c", state="INFEASIBLE"),
            event("front.stored", "b", sequence=1),
        ],
        state=StudyState.ACTIVE,
        trials_created=0,
        front_sequence=1,
    )
    history.measurements.clear()  # type: ignore[attr-defined]
    del history.fronts[0]  # type: ignore[attr-defined]
    history.fronts[0].sequence = 1
    history.trials[2].state = TrialState.INFEASIBLE
    assert broken(history) == []


def corrected(seed: str, *, before: Any, trial_state: str = "SUCCEEDED", **told: Any) -> Event:
    body = {"state": "SUCCEEDED", "metrics": {}, **told, "trial_state": trial_state}
    return event("trial.corrected", seed, 2 if seed == "a" else 1, replicate=0, before=before, **body)


WRONG = {"error": 9.0, "gain": 1.0}
RIGHT = {"error": 1.0, "gain": 1.0}


def test_a_corrected_result_changes_the_front_from_there_on() -> None:
    """The front before it follows from what was told then; the row has what is right."""
    events = good_events()
    before = {"state": "SUCCEEDED", "metrics": WRONG}
    place = find(events, "front.stored", "b") + 1
    events[place:place] = [
        corrected("a", before=before, metrics=RIGHT),
        event("front.stored", "a", 2, sequence=3),
    ]
    history = made(events, front_sequence=3)
    second = StoredFront(sequence=2, trial_id="b", member_trial_ids=["b"])
    third = StoredFront(sequence=3, trial_id="a", member_trial_ids=["a", "b"])
    history.fronts[1:] = [second, third]  # type: ignore[index]
    history.fronts[0].hypervolume = 0.0
    assert broken(history) == []
    third.member_trial_ids = ["b"]
    assert broken(history) == ["fronts_equal_recomputed_ones"]


@pytest.mark.parametrize(
    ("trial_state", "where"), [("INFEASIBLE", "a_trial_ends_once"), ("SUCCEEDED", "only_the_holder_writes")]
)
def test_a_correction_that_does_not_fit_is_found(trial_state: str, where: str) -> None:
    """Its row says otherwise, or somebody is running the seed."""
    events = good_events()
    is_run = where == "only_the_holder_writes"
    place = find(events, "trial.started", "b") if is_run else find(events, "front.stored", "b")
    told = {"error": 2.0, "gain": 4.0}
    before = {"state": "SUCCEEDED", "metrics": told}
    events.insert(place + 1, corrected("b", before=before, trial_state=trial_state, metrics=told))
    assert where in broken(made(events))


ANSWER = '{"id":"std_1","state":"ACTIVE"}'
OTHER = '{"id":"std_2","state":"ACTIVE"}'


@pytest.mark.parametrize(
    ("answers", "kept", "created", "extended"),
    [
        ([(201, ANSWER), (201, OTHER)], {"k": ANSWER}, ["std_1"], Counter()),
        ([(201, ANSWER)], {}, ["std_1"], Counter()),
        ([(201, ANSWER)], {"k": ANSWER}, ["std_1", "std_2"], Counter()),
        ([(201, ANSWER)], {"k": ANSWER}, [], Counter()),
        ([(201, ANSWER)], {"k": ANSWER}, ["std_1"], Counter({"std_1": 1})),
    ],
)
def test_a_key_without_exactly_one_effect_is_found(
    answers: list[tuple[int, str]], kept: dict[str, str], created: list[str], extended: Counter[str]
) -> None:
    """Two answers, none kept, two studies, none, or an extension that nobody asked for."""
    posting = Posting("k", "/v1/studies", answers)
    assert list(one_effect_per_key([posting], kept=kept, created=created, extended=extended))


def test_a_repeated_key_with_one_effect_is_in_order() -> None:
    """A lost answer, a refusal on the way and the same answer twice: one study, extended once."""
    postings = [
        Posting("k", "/v1/studies", [(503, ""), (201, ANSWER), (201, ANSWER)]),
        Posting("l", "/v1/studies/std_1:extend", [(200, ANSWER)]),
        Posting("m", "/v1/studies", [(409, "in progress")]),
    ]
    found = one_effect_per_key(
        postings, kept={"k": ANSWER, "l": ANSWER}, created=["std_1"], extended=Counter({"std_1": 1})
    )
    assert list(found) == []
