"""Several seeds for one configuration: what a trial makes of them, and which further seeds a front gets."""

import itertools

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from service.api.read_models.fronts import pareto_front
from service.api.read_models.studies import study_read
from service.api.read_models.trials import trial_read
from service.errors import StaleAttempt, WrongState
from service.storage import queries
from service.storage.models import Artifact, Event, Replicate, StoredFront, Study, Trial
from service.studies import steering
from service.trials import lifecycle, replication, study_lifecycle
from service.trials.claimable_studies import claimable_studies
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import (
    MAX_ATTEMPTS,
    create,
    finish,
    lose,
    queue,
    replicates_of,
    start,
    succeeded,
)

INFEASIBLE = TrialReport(state=TrialState.INFEASIBLE, reason="not-a-number: loss")


@pytest.fixture
def study(session: Session) -> Study:
    """Two trials, three seeds each."""
    return create(session, make_study_request(replicates=3, parallelism=3, budget={"trials": 2}))


@pytest.fixture
def final_study(session: Session) -> Study:
    """Two trials, one seed each, two further seeds for members of the front."""
    return create(session, make_study_request(final_replicates=2, parallelism=9, budget={"trials": 2}))


def run_next(session: Session, study: Study, report: TrialReport) -> Replicate:
    """Claim what a worker would claim now and report at once."""
    trial = queries.next_queued(session, study.id)
    assert trial is not None
    replicate = lifecycle.start_trial(session, study, trial, worker="w", lease_seconds=60)
    finish(session, study, trial, report, attempt=replicate.attempt)
    return replicate


def states(session: Session, trial: Trial) -> list[TrialState]:
    return [replicate.state for replicate in replicates_of(session, trial)]


def test_a_trial_ends_with_its_last_seed(session: Session, study: Study) -> None:
    """Until then it is open, has no metrics and no front; then metrics are means with standard errors."""
    trial = queue(session, study)
    for score in (0.6, 0.9):
        run_next(session, study, succeeded(score))
        assert (trial.state, trial.metrics, study.front_sequence) == (TrialState.QUEUED, {}, 0)
    run_next(session, study, succeeded(0.9))
    assert trial.state is TrialState.SUCCEEDED
    assert trial.metrics["score"] == pytest.approx(0.8)
    assert trial.metric_standard_errors["score"] == pytest.approx(0.1)
    assert trial.metric_standard_errors["trainable_parameters"] == 0.0
    assert study.front_sequence == 1


def test_seeds_follow_the_configurations_own(session: Session, study: Study) -> None:
    """Seed plus replicate number, starting again at zero above the largest seed."""
    trial = queue(session, study)
    assert [replicate.seed for replicate in replicates_of(session, trial)] == [0, 1, 2]
    trial.configuration = {**trial.configuration, "training": {"seed": 2**31 - 1}}
    assert replication.add_replicate(session, study, trial, number=3).seed == 2


def test_seeds_of_one_trial_run_side_by_side(session: Session, study: Study) -> None:
    """Each has an attempt of its own, and a late report of one does not touch the others."""
    trial = queue(session, study)
    for _ in range(3):
        start(session, study, trial)
    lifecycle.lose_trial(session, study, trial, attempt=2, max_attempts=MAX_ATTEMPTS)
    assert states(session, trial) == [TrialState.RUNNING, TrialState.QUEUED, TrialState.RUNNING]
    start(session, study, trial)
    with pytest.raises(StaleAttempt, match="Attempt 2"):
        finish(session, study, trial, succeeded(), attempt=2)
    for attempt in (4, 1, 3):
        finish(session, study, trial, succeeded(), attempt=attempt)
    assert trial.state is TrialState.SUCCEEDED
    with pytest.raises(WrongState, match="nothing that waits"):
        start(session, study, trial)


def test_an_infeasible_seed_makes_the_trial_infeasible(session: Session, study: Study) -> None:
    """Waiting seeds are dropped, running ones are told to stop, and the reason is that of the seed."""
    trial = queue(session, study)
    start(session, study, trial)
    start(session, study, trial)
    assert not lifecycle.extend_lease(session, study, trial.id, attempt=2, lease_seconds=60)
    finish(session, study, trial, INFEASIBLE, attempt=1)
    assert states(session, trial)[2] is TrialState.CANCELLED
    assert trial.state is TrialState.RUNNING
    assert lifecycle.extend_lease(session, study, trial.id, attempt=2, lease_seconds=60)
    lifecycle.release_trial(session, study, trial, attempt=2)
    assert (trial.state, trial.state_reason) == (TrialState.INFEASIBLE, "not-a-number: loss")
    assert study.front_sequence == 0


def test_a_failed_seed_is_retried_and_then_left_out(session: Session, study: Study) -> None:
    """The mean is over the seeds that succeeded."""
    trial = queue(session, study)
    run_next(session, study, succeeded(0.6))
    for _ in range(MAX_ATTEMPTS):
        lose(session, study, start(session, study, trial))
    run_next(session, study, succeeded(0.8))
    assert states(session, trial) == [TrialState.SUCCEEDED, TrialState.FAILED, TrialState.SUCCEEDED]
    assert (trial.state, trial.metrics["score"]) == (TrialState.SUCCEEDED, pytest.approx(0.7))
    assert study.front_sequence == 1


def test_without_its_first_seed_a_trial_fails(session: Session, study: Study) -> None:
    """It would have no artifact; the other seeds are not trained for nothing."""
    trial = queue(session, study)
    for _ in range(MAX_ATTEMPTS):
        lose(session, study, start(session, study, trial))
    assert trial.state is TrialState.FAILED
    assert states(session, trial)[1:] == [TrialState.CANCELLED, TrialState.CANCELLED]


def test_artifacts_are_those_of_the_first_seed(session: Session, study: Study) -> None:
    """Not those of the best one, whatever the others report."""
    queue(session, study)
    for number, score in enumerate((0.5, 0.9, 0.7)):
        record = ArtifactRecord(
            name="weights.safetensors", path=f"{number}", sha256=f"{number:064x}", size_bytes=1
        )
        run_next(session, study, succeeded(score).model_copy(update={"artifacts": (record,)}))
    assert session.scalars(select(Artifact)).one().path == "0"


def test_cancelling_drops_seeds_that_wait(session: Session, study: Study) -> None:
    """A trial with some of its seeds is cancelled, not accepted as if it had them all."""
    trial = queue(session, study)
    run_next(session, study, succeeded())
    steering.cancel(session, study)
    assert (study.state, trial.state) == (StudyState.CANCELLED, TrialState.CANCELLED)


def test_the_front_gets_its_final_seeds_before_the_study_succeeds(
    session: Session, final_study: Study
) -> None:
    """Only its members; each accepted seed stores a front; counts show what is left."""
    best, worse = queue(session, final_study), queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.7))
    assert (final_study.state, len(states(session, best)), len(states(session, worse))) == ("ACTIVE", 3, 1)
    shown = study_read(session, final_study)
    assert (shown.trials.succeeded, shown.replicate_counts.queued, shown.replicate_counts.done) == (2, 2, 2)
    assert [run_next(session, final_study, succeeded(0.8)).number for _ in range(2)] == [1, 2]
    assert final_study.state is StudyState.SUCCEEDED
    assert best.metrics["score"] == pytest.approx((0.9 + 0.8 + 0.8) / 3)
    assert session.scalars(select(StoredFront.trial_id).order_by(StoredFront.sequence)).all() == [
        best.id, worse.id, best.id, best.id,
    ]  # fmt: skip


def test_a_lucky_seed_gives_its_place_to_another_trial(session: Session, final_study: Study) -> None:
    """The member falls behind, the one it hid gets its seeds, and the rest of the first is dropped."""
    lucky, steady = queue(session, final_study), queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.8))
    run_next(session, final_study, succeeded(0.5))
    assert states(session, lucky)[2] is TrialState.CANCELLED
    assert states(session, steady)[1:] == [TrialState.QUEUED] * 2
    run_next(session, final_study, succeeded(0.8))
    run_next(session, final_study, succeeded(0.8))
    assert final_study.state is StudyState.SUCCEEDED
    front = pareto_front(session, final_study)
    assert [(point.trial_id, point.seeds) for point in front.points] == [(steady.id, 3)]


def test_a_trial_that_returns_to_the_front_goes_on(session: Session, final_study: Study) -> None:
    """What was dropped when it left is queued again; no seed is trained twice."""
    first, second = queue(session, final_study), queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.8))
    run_next(session, final_study, succeeded(0.5))
    run_next(session, final_study, succeeded(0.1))
    assert states(session, first)[2] is TrialState.QUEUED
    assert states(session, second)[2] is TrialState.CANCELLED
    run_next(session, final_study, succeeded(0.7))
    assert final_study.state is StudyState.SUCCEEDED
    assert (first.attempt, second.attempt) == (3, 2)


def test_a_final_seed_that_is_infeasible_takes_its_trial_off_the_front(
    session: Session, final_study: Study
) -> None:
    """A configuration that only works with some seeds is not recommended; the next one takes its place."""
    fragile, sound = queue(session, final_study), queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.8))
    run_next(session, final_study, INFEASIBLE)
    assert (fragile.state, fragile.state_reason) == (TrialState.INFEASIBLE, INFEASIBLE.reason)
    for _ in range(2):
        run_next(session, final_study, succeeded(0.8))
    assert final_study.state is StudyState.SUCCEEDED
    assert [point.trial_id for point in pareto_front(session, final_study).points] == [sound.id]


def test_a_final_seed_that_keeps_failing_is_given_up(session: Session, final_study: Study) -> None:
    """The study ends all the same; the mean is over the seeds there are."""
    trial = queue(session, final_study)
    queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.1))
    for _ in range(MAX_ATTEMPTS):
        lose(session, final_study, start(session, final_study, trial))
    run_next(session, final_study, succeeded(0.9))
    assert (final_study.state, trial.state) == (StudyState.SUCCEEDED, TrialState.SUCCEEDED)
    assert pareto_front(session, final_study).points[0].seeds == 2


def test_a_lost_final_seed_of_a_former_member_is_not_tried_again(
    session: Session, final_study: Study
) -> None:
    """What nobody wants any more is dropped, not requeued."""
    lucky = queue(session, final_study)
    queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.8))
    slow = start(session, final_study, lucky).attempt
    run_next(session, final_study, succeeded(0.5))
    assert states(session, lucky) == [TrialState.SUCCEEDED, TrialState.RUNNING, TrialState.SUCCEEDED]
    lifecycle.lose_trial(session, final_study, lucky, attempt=slow, max_attempts=MAX_ATTEMPTS)
    assert states(session, lucky)[1] is TrialState.CANCELLED
    assert lucky.state is TrialState.SUCCEEDED


def test_a_study_paused_during_its_final_seeds_waits(session: Session, final_study: Study) -> None:
    """Its last running result is accepted; nothing is handed out until it is resumed."""
    queue(session, final_study)
    queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    trial = queries.next_queued(session, final_study.id)
    assert trial is not None
    start(session, final_study, trial)
    steering.pause(session, final_study)
    finish(session, final_study, trial, succeeded(0.1))
    assert (final_study.state, claimable_studies(session)) == (StudyState.PAUSED, [])
    steering.resume(session, final_study)
    assert claimable_studies(session) == [final_study.id]


def test_cancelling_during_the_final_seeds_keeps_the_results(session: Session, final_study: Study) -> None:
    """Trials stay as they are; the running seed is told to stop, and the study is CANCELLED."""
    best = queue(session, final_study)
    queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    run_next(session, final_study, succeeded(0.1))
    attempt = start(session, final_study, best).attempt
    steering.cancel(session, final_study)
    assert lifecycle.extend_lease(session, final_study, best.id, attempt=attempt, lease_seconds=60)
    lifecycle.release_trial(session, final_study, best, attempt=attempt)
    assert (final_study.state, best.state) == (StudyState.CANCELLED, TrialState.SUCCEEDED)
    assert states(session, best)[1:] == [TrialState.CANCELLED] * 2


def test_an_exhausted_space_gives_its_front_final_seeds_too(session: Session, final_study: Study) -> None:
    """The study worker asks again after each result; the study ends with the last seed."""
    queue(session, final_study)
    run_next(session, final_study, succeeded(0.9))
    for _ in range(2):
        study_lifecycle.exhaust(session, final_study)
        assert final_study.state is StudyState.ACTIVE
        run_next(session, final_study, succeeded(0.9))
    study_lifecycle.exhaust(session, final_study)
    assert final_study.state is StudyState.SUCCEEDED
    assert final_study.state_reason == "every configuration of the search space has been tried"


def test_a_noisy_final_phase_ends(session: Session) -> None:
    """However the means move, no trial gets more than its seeds, and each seed is trained once."""
    study = create(session, make_study_request(final_replicates=3, budget={"trials": 6}, parallelism=9))
    noise = itertools.cycle((0.11, 0.83, 0.42, 0.67, 0.05, 0.91, 0.38))
    for _ in range(6):
        queue(session, study)
    while study.state is StudyState.ACTIVE:
        run_next(session, study, succeeded(next(noise), parameters=1000 * next(noise)))
    starts = session.scalars(select(Event.body).where(Event.type == "trial.started")).all()
    assert len(starts) == len(queries.replicates_in(session, study.id, [TrialState.SUCCEEDED])) <= 24


def test_a_trial_shows_every_seed_and_whether_one_collapsed(session: Session, study: Study) -> None:
    """Scores apart, their mean, and a flag if any seed predicts a constant."""
    trial = queue(session, study)
    for score, collapsed in ((0.5, 1.0), (0.8, 0.0), (0.8, 0.0)):
        report = succeeded(score)
        run_next(
            session,
            study,
            report.model_copy(update={"metrics": {**report.metrics, "collapsed": collapsed}}),
        )
    shown = trial_read(session, study, trial)
    assert [item.metrics["score"] for item in shown.replicates] == [0.5, 0.8, 0.8]
    assert shown.collapsed
    assert pareto_front(session, study).points[0].collapsed
