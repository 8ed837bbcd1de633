"""What must be true of every stored history, whatever has happened: pure functions over rows.

Each invariant is a function from the rows to sentences that say where it is broken. It replays the events
with rules of its own and shares no code with the service, whose mistakes it would repeat. A deleted
study has no rows any more: check it before it is deleted.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise

from service.storage.models import Event, Replicate, StoredFront, Study, Trial, TrialMeasurement

ENDS_OF_TRIALS = {
    "trial.succeeded": "SUCCEEDED",
    "trial.infeasible": "INFEASIBLE",
    "trial.failed": "FAILED",
    "trial.stopped_early": "STOPPED_EARLY",
    "trial.cancelled": "CANCELLED",
}
MOVES_OF_STUDIES = {
    "study.created": ((None,), "ACTIVE"),
    "study.paused": (("ACTIVE",), "PAUSED"),
    "study.resumed": (("PAUSED", "SUCCEEDED"), "ACTIVE"),
    "study.cancelling": (("ACTIVE", "PAUSED"), "CANCELLING"),
    "study.cancelled": (("CANCELLING",), "CANCELLED"),
    "study.succeeded": (("ACTIVE", "PAUSED"), "SUCCEEDED"),
    "study.failed": (("ACTIVE", "PAUSED"), "FAILED"),
}
ENDS_OF_STUDIES = ("SUCCEEDED", "FAILED", "CANCELLED")


@dataclass(frozen=True)
class History:
    """The rows of one study; events, trials and fronts by number."""

    study: Study
    events: Sequence[Event]
    trials: Sequence[Trial]
    replicates: Sequence[Replicate] = ()
    measurements: Sequence[TrialMeasurement] = ()
    fronts: Sequence[StoredFront] = ()

    @cached_property
    def imported(self) -> frozenset[str]:
        """The ids of the trials that came with results and never ran here."""
        return frozenset(event.trial_id or "" for event in self.events if event.type == "trial.imported")

    def of_trial(self, trial: Trial) -> list[Event]:
        """Give what happened to a trial."""
        return [event for event in self.events if event.trial_id == trial.id]


@dataclass
class Lease:
    """Who holds a replicate, as its events tell."""

    attempt: int = 0
    is_held: bool = False
    has_ended: bool = False


@dataclass(frozen=True)
class Posting:
    """A POST with an Idempotency-Key: how often it was answered, with which status and body."""

    key: str
    path: str
    answers: Sequence[tuple[int, str]] = field(default_factory=list)

    @property
    def accepted(self) -> list[str]:
        """The bodies of the answers that said yes."""
        return [body for status, body in self.answers if status < 300]


def numbers_have_no_gap_and_no_double(history: History) -> Iterator[str]:
    """Events and fronts count from 1, trials from 0; the study's counters are the last numbers."""
    study = history.study
    for name, numbers, first, count in (
        ("events", [event.sequence for event in history.events], 1, study.event_sequence),
        ("fronts", [front.sequence for front in history.fronts], 1, study.front_sequence),
        (
            "trials",
            [trial.number for trial in history.trials],
            0,
            len(history.imported) + sum(event.type == "trial.queued" for event in history.events),
        ),
    ):
        if numbers != list(range(first, first + count)):
            yield f"{name} are numbered {numbers}, and there should be {count}"


def a_study_moves_as_its_machine_allows(history: History) -> Iterator[str]:
    """Terminal states are left by an extension only, and the row says what the last event said."""
    state: str | None = None
    for event in history.events:
        if event.type in MOVES_OF_STUDIES:
            sources, target = MOVES_OF_STUDIES[event.type]
            if state not in sources:
                yield f"event {event.sequence} is {event.type} of a study that is {state}"
            state = target
    if state != history.study.state:
        yield f"the study is {history.study.state}; its events say {state}"
    waiting = [trial.number for trial in history.trials if trial.state in ("QUEUED", "RUNNING")]
    if history.study.state in ENDS_OF_STUDIES and waiting:
        yield f"the study is {history.study.state}, and its trials {waiting} are open"


def nothing_is_leased_unless_active(history: History) -> Iterator[str]:
    """From the commit that pauses or ends a study no trial starts, until it is active again."""
    state: str | None = None
    for event in history.events:
        if event.type in MOVES_OF_STUDIES:
            state = MOVES_OF_STUDIES[event.type][1]
        elif event.type == "trial.started" and state != "ACTIVE":
            yield f"event {event.sequence} starts a trial of a study that is {state}"


def trials_never_exceed_the_budget(history: History) -> Iterator[str]:
    """At no event have more trials been queued than were allowed by then."""
    study = history.study
    extensions = [event for event in history.events if event.type == "study.extended"]
    budget = study.trial_budget - sum(event.body["trials"] for event in extensions)
    queued = 0
    for event in history.events:
        if event.type == "study.extended":
            budget += event.body["trials"]
            if event.body["budget"] != budget:
                yield f"event {event.sequence} extends to {event.body['budget']}, not to {budget}"
        elif event.type in ("trial.queued", "race.round"):
            queued += _trainings_queued(event)
            if queued > budget:
                yield f"event {event.sequence} queues trial {queued} of {budget}"
    # A study that wants repetitions pays for further seeds without saying so.
    if study.trials_created != queued and (study.proposals or {}).get("duplicates") != "replicate":
        yield f"the study counts {study.trials_created} trials, and {queued} were queued"


def _trainings_queued(event: Event) -> int:
    """Further seeds of a race, and of the first trials of a study that races, cost a trial each."""
    if event.type == "race.round":
        return len(event.body["trial_ids"])
    return 1 + int(event.body.get("further_seeds", 0))


def a_trial_ends_once(history: History) -> Iterator[str]:
    """One terminal event per trial, which its row agrees with.

    A final seed may prove a result wrong, and a correction may put any end in the place of another.
    """
    for trial in history.trials:
        state: str | None = None
        for event in history.of_trial(trial):
            if event.type == "trial.imported" or event.type == "trial.corrected":
                told = event.body["state" if event.type == "trial.imported" else "trial_state"]
                state = told if told in ENDS_OF_TRIALS.values() else None
            elif event.type in ENDS_OF_TRIALS:
                end = ENDS_OF_TRIALS[event.type]
                if state is not None and (state, end) != ("SUCCEEDED", "INFEASIBLE"):
                    yield f"trial {trial.number} was {state} and ends as {end}"
                state = end
        if (trial.state if trial.state in ENDS_OF_TRIALS.values() else None) != state:
            yield f"trial {trial.number} is {trial.state} and has ended as {state}"


def attempts_strictly_increase(history: History) -> Iterator[str]:
    """Attempts of a trial start as 1, 2, 3, whichever of its replicates has them; the row has the last."""
    for trial in history.trials:
        starts = [event.attempt for event in history.of_trial(trial) if event.type == "trial.started"]
        first = trial.attempt - len(starts) if trial.id in history.imported else 0
        if starts != list(range(first + 1, trial.attempt + 1)):
            yield f"trial {trial.number} is at attempt {trial.attempt}, and started as {starts}"


def only_the_holder_writes(history: History) -> Iterator[str]:
    """No attempt writes before it starts, after it has ended, or once the next one has begun.

    One whose lease is over may take it up again until then.
    """
    leases: dict[tuple[str, int], Lease] = defaultdict(Lease)
    for event in history.events:
        if event.trial_id is None or "replicate" not in (event.body or {}):
            continue
        problem = _after(event, leases[event.trial_id, event.body["replicate"]])
        if problem is not None:
            yield f"event {event.sequence}, {event.type} of attempt {event.attempt}: {problem}"
    for replicate in history.replicates:
        lease = leases[replicate.trial_id, replicate.number]
        if replicate.trial_id not in history.imported and (
            lease.is_held != (replicate.state == "RUNNING") or lease.attempt != replicate.attempt
        ):
            yield (
                f"replicate {replicate.number} of {replicate.trial_id} is {replicate.state} at attempt "
                f"{replicate.attempt}; its events end with {lease}"
            )


def _after(event: Event, lease: Lease) -> str | None:
    """Follow a replicate's event; say what is wrong with it."""
    attempt, before = event.attempt or 0, Lease(lease.attempt, lease.is_held, lease.has_ended)
    if event.type == "replicate.queued":
        lease.has_ended = False
        return "it is being run" if before.is_held else None
    if event.type == "trial.started":
        lease.attempt, lease.is_held = attempt, True
        if before.has_ended:
            return "it has ended"
        return f"attempt {before.attempt} holds it" if before.is_held else None
    if event.type == "trial.resumed":
        lease.is_held = True
        if before.is_held or before.has_ended:
            return "it is being run" if before.is_held else "it has ended"
        return None if attempt == before.attempt else f"the last attempt was {before.attempt}"
    if event.type == "trial.corrected":
        # Whoever corrects holds nothing; what came with a clone has ended before its first event.
        lease.has_ended = True
        return "it is being run" if before.is_held else None
    if event.type == "replicate.ended":
        lease.is_held, lease.has_ended = False, True
        dropped = event.body["state"] == "CANCELLED" or attempt == 0
        if before.has_ended:
            return "it has ended before"
        if attempt != before.attempt:
            return f"the last attempt was {before.attempt}"
        return None if before.is_held or dropped else "nobody held it"
    lease.is_held = before.is_held and event.type != "trial.requeued"
    held = before.attempt if before.is_held else None
    return None if attempt == held else f"attempt {held} holds it"


def measurements_follow_their_steps(history: History) -> Iterator[str]:
    """Steps of an attempt grow from event to event, and every event has its row and every row its event."""
    steps: dict[tuple[str, int], list[int]] = defaultdict(list)
    for event in history.events:
        if event.type == "trial.measured":
            steps[event.trial_id or "", event.attempt or 0].append(event.body["step"])
    for (trial_id, attempt), seen in steps.items():
        if any(later <= earlier for earlier, later in pairwise(seen)):
            yield f"attempt {attempt} of {trial_id} measured steps {seen}"
    told = {(trial_id, attempt, step) for (trial_id, attempt), seen in steps.items() for step in seen}
    stored = {(row.trial_id, row.attempt, row.step) for row in history.measurements}
    if told != stored:
        yield f"measurements without an event or the other way round: {sorted(told ^ stored)}"


INVARIANTS: tuple[Callable[[History], Iterator[str]], ...] = (
    numbers_have_no_gap_and_no_double,
    a_study_moves_as_its_machine_allows,
    nothing_is_leased_unless_active,
    trials_never_exceed_the_budget,
    a_trial_ends_once,
    attempts_strictly_increase,
    only_the_holder_writes,
    measurements_follow_their_steps,
)


def one_effect_per_key(
    postings: Sequence[Posting], *, kept: dict[str, str], created: Sequence[str], extended: Counter[str]
) -> Iterator[str]:
    """Every accepted key has one answer and one effect, and every effect has its key.

    `kept` has the stored answer of each key, `created` the id of each study ever made, as often as it was,
    and `extended` how often each study that still exists was extended.
    """
    for posting in postings:
        if len(set(posting.accepted)) > 1:
            yield f"{posting.path} under key {posting.key} was answered in {len(set(posting.accepted))} ways"
        if posting.accepted and kept.get(posting.key) != posting.accepted[0]:
            yield f"{posting.path} under key {posting.key} was accepted, and its answer is not kept"
    taken = [posting for posting in postings if posting.key in kept]
    made = [
        _id_in(kept[one.key]) for one in taken if one.path == "/v1/studies" or one.path.endswith(":clone")
    ]
    if Counter(made) != Counter(created):
        yield f"keys made {len(made)} studies, and {len(created)} were: {set(made) ^ set(created)}"
    asked = Counter(_id_in(kept[one.key]) for one in taken if one.path.endswith(":extend"))
    for study_id, count in extended.items():
        if asked[study_id] != count:
            yield f"study {study_id} was extended {count} times under {asked[study_id]} keys"


def _id_in(body: str) -> str:
    # The first field of a study; the rest may be anything.
    return body.split('"id":"', 1)[1].split('"', 1)[0]
