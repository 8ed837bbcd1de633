"""When a signal may break into a trial, and when it waits."""

import pytest

from workers.interruption import Interruption, TrialStopped, WorkerStopping


def test_an_idle_worker_ends_at_once() -> None:
    """There is nothing to wait for."""
    with pytest.raises(SystemExit):
        Interruption().stop_worker()


def test_a_worker_stopped_while_it_claims_gives_the_claim_back() -> None:
    """The trial that it may just have got is not trained, and not left behind."""
    interruption = Interruption()
    interruption.begin()
    interruption.stop_worker()
    with pytest.raises(WorkerStopping), interruption.allowed():
        pytest.fail("must not train")
    with pytest.raises(SystemExit):
        interruption.exit_if_asked()


def test_a_training_worker_gives_up_its_trial() -> None:
    """The interruption reaches the training, once."""
    interruption = Interruption()
    with pytest.raises(WorkerStopping), interruption.allowed():
        interruption.stop_worker()
    with pytest.raises(SystemExit):
        interruption.exit_if_asked()


def test_a_result_being_stored_is_not_interrupted() -> None:
    """The process ends after it."""
    interruption = Interruption()
    interruption.begin()
    with interruption.allowed():
        pass
    interruption.stop_worker()
    interruption.stop_trial()
    with pytest.raises(SystemExit):
        interruption.exit_if_asked()


def test_a_late_stop_of_a_trial_does_not_reach_the_next() -> None:
    """Nothing happens while nothing trains."""
    interruption = Interruption()
    interruption.stop_trial()
    with pytest.raises(TrialStopped), interruption.allowed():
        interruption.stop_trial()
    interruption.exit_if_asked()


def test_a_step_is_never_done_by_half() -> None:
    """A signal that comes while weights change raises once they are changed, and once only."""
    interruption = Interruption()
    interruption.begin()
    done = []

    def train() -> None:
        with interruption.allowed(), interruption.held_back():
            interruption.stop_trial()
            interruption.stop_worker()
            done.append("the whole step")

    with pytest.raises(TrialStopped):
        train()
    assert done == ["the whole step"]
    with pytest.raises(SystemExit):
        interruption.exit_if_asked()


def test_only_what_nobody_wants_any_more_keeps_a_checkpoint() -> None:
    """A lost lease means that another attempt trains; and what holds for one trial does not for the next."""

    def stopped(interruption: Interruption) -> TrialStopped:
        with pytest.raises(TrialStopped) as stop, interruption.allowed():
            interruption.stop_trial()
        return stop.value

    interruption = Interruption()
    for wanted in (True, False, True):
        interruption.begin()
        if not wanted:
            interruption.no_longer_wanted()
        assert stopped(interruption).keeps_checkpoint is not wanted


def test_a_trial_stopped_before_it_trains_is_not_trained() -> None:
    """What comes while the worker still loads is not forgotten; the next trial is not its business."""
    interruption = Interruption()
    interruption.begin()
    interruption.stop_trial()
    with pytest.raises(TrialStopped), interruption.allowed():
        pytest.fail("must not train")
    interruption.exit_if_asked()
    interruption.begin()
    with interruption.allowed():
        pass
