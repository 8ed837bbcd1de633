"""Further claims for a worker that trains several trials in one batch."""

import pytest

from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ClaimedTrial, TrialReport, TrialState
from service.studies import steering
from service.trials import leases, sweeper
from tests.service.trials.test_leases import expire_all_leases, set_state, stored_study

pytestmark = pytest.mark.usefixtures("service_environment")

REPORT = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.7, "trainable_parameters": 1000.0})


def claim_first() -> ClaimedTrial:
    claimed = leases.claim("w")
    assert claimed is not None
    return claimed


def claim_more(like: ClaimedTrial, count: int = 9, *, fits: bool = True) -> list[ClaimedTrial]:
    return leases.claim_more("w", like=like, count=count, fits=lambda _: fits)


def test_a_paused_study_hands_out_no_more() -> None:
    """Also between a worker's first claim and its next."""
    study_id = stored_study(trials=3, parallelism=3)
    first = claim_first()
    set_state(study_id, steering.pause)
    assert claim_more(first) == []


def test_what_does_not_fit_stays_queued() -> None:
    """It is there for the next worker."""
    stored_study(trials=2, parallelism=2)
    first = claim_first()
    assert claim_more(first, fits=False) == []
    assert leases.claim("another") is not None


@pytest.mark.parametrize(("parallelism", "count", "taken"), [(5, 2, 2), (3, 9, 2), (1, 9, 0), (9, 9, 4)])
def test_no_more_than_asked_allowed_or_there(parallelism: int, count: int, taken: int) -> None:
    """The study's parallelism counts what is claimed already; each trial is handed out once."""
    stored_study(trials=5, parallelism=parallelism)
    first = claim_first()
    more = claim_more(first, count)
    assert len({trial.trial_id for trial in (first, *more)}) == 1 + taken


def test_other_studies_are_left_alone() -> None:
    """A pack has one task, so one study."""
    study_id = stored_study(trials=2, parallelism=2)
    stored_study(trials=2, parallelism=2)
    first = claim_first()
    assert first.study_id == study_id
    assert [trial.study_id for trial in claim_more(first)] == [study_id]


def test_each_trial_of_a_pack_is_completed_for_itself() -> None:
    """Its own lease, attempt and result."""
    stored_study(trials=3, parallelism=3)
    pack = [first := claim_first(), *claim_more(first)]
    leases.release(pack[1].trial_id, pack[1].attempt)
    for trial in (pack[0], pack[2]):
        assert not leases.heartbeat(trial.trial_id, trial.attempt)
        leases.complete(trial.trial_id, trial.attempt, REPORT)
    again = leases.claim("another")
    assert again is not None
    assert again.trial_id == pack[1].trial_id


def test_seeds_of_one_trial_are_claimed_one_by_one() -> None:
    """Replicates differ in nothing but the seed: the best of packs."""
    stored_study(trials=1, parallelism=3, replicates=3)
    pack = [first := claim_first(), *claim_more(first)]
    assert [trial.replicate for trial in pack] == [0, 1, 2]
    assert len({trial.configuration.training.seed for trial in pack}) == 3


def test_a_pack_is_judged_by_the_seeds_that_will_run() -> None:
    """With folds a seed decides which rows a trial has: the seed of the replicate, not that of its trial."""
    stored_study(trials=1, parallelism=3, replicates=3)
    first = claim_first()
    seeds: list[int] = []

    def fits(configuration: TrialConfiguration) -> bool:
        seeds.append(configuration.training.seed)
        return False

    assert leases.claim_more("w", like=first, count=9, fits=fits) == []
    assert set(seeds) == {first.configuration.training.seed + 1}


def test_what_has_lost_a_worker_runs_alone() -> None:
    """A trial that takes its worker with it each time fails alone, and no other of its first pack with it."""
    stored_study(trials=4, parallelism=4)
    first = claim_first()
    assert len(claim_more(first)) == 3
    expire_all_leases()
    sweeper.sweep_once()
    again = claim_first()
    assert again.attempt > 1
    assert claim_more(again) == []
    leases.complete(again.trial_id, again.attempt, REPORT)


def test_who_runs_for_the_first_time_takes_none_that_has_lost_a_worker() -> None:
    """It might be the one that takes workers with it."""
    stored_study(trials=3, parallelism=3)
    lost = [claim_first(), claim_first()]
    expire_all_leases()
    sweeper.sweep_once()
    assert claim_first().trial_id == lost[0].trial_id
    leases.claim("holds the other that was lost")
    healthy = claim_first()
    assert healthy.attempt == 1
    release_lost(lost[1])
    assert claim_more(healthy) == []


def release_lost(trial: ClaimedTrial) -> None:
    leases.release(trial.trial_id, trial.attempt + 1)
