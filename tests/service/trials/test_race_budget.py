"""What of a budget search and race may still spend."""

import pytest

from api_schemas.one_shot import OneShotRun
from api_schemas.races import RaceProgress
from api_schemas.trial_configuration import TrialConfiguration
from service.storage.models import Study
from service.trials import race_budget

BASE = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}})


def study(budget: int, *, share: float, created: int = 0, progress: RaceProgress | None = None) -> Study:
    made = Study(id="std_1", trial_budget=budget, race_share=share, trials_created=created)
    if progress is not None:
        race_budget.record(made, progress)
    return made


@pytest.mark.parametrize(
    ("share", "budget", "trainings"), [(0.25, 32, 8), (0.29, 100, 29), (0.5, 5, 2), (0.25, 7, 1)]
)
def test_a_race_has_whole_trainings(share: float, budget: int, trainings: int) -> None:
    """Rounded down; a share that floating point holds a hair too small loses none."""
    assert race_budget.trainings_of(share, budget) == trainings


def test_without_a_race_the_search_has_everything() -> None:
    """It is spent with its last trial."""
    made = study(4, share=0.0, created=3)
    assert (race_budget.left_for_search(made), race_budget.left_for_race(made)) == (1, 0)
    assert not race_budget.is_spent(made)
    made.trials_created = 4
    assert race_budget.is_spent(made)
    assert not race_budget.is_pending(made)


def test_search_and_race_share_a_budget() -> None:
    """The trainings of the race count for neither the search's part nor twice."""
    made = study(32, share=0.25, created=27, progress=RaceProgress(rounds=1, trainings=3))
    assert (race_budget.left_for_search(made), race_budget.left_for_race(made)) == (0, 5)
    made.trial_budget = 40
    assert (race_budget.left_for_search(made), race_budget.left_for_race(made)) == (6, 7)


def test_what_another_version_has_spent_is_gone() -> None:
    """A search that took the whole budget leaves none to the race."""
    assert race_budget.left_for_race(study(32, share=0.25, created=32)) == 0


def test_an_ended_search_leaves_its_rest_and_a_larger_budget_lets_it_go_on() -> None:
    """The race keeps its own part; what it has had is not forgotten."""
    made = study(32, share=0.25, created=5)
    race_budget.search_on(made)
    assert made.race_progress is None
    race_budget.end_search(made, reason="nothing new")
    assert (race_budget.left_for_search(made), race_budget.left_for_race(made)) == (0, 8)
    race_budget.record(
        made, RaceProgress(rounds=2, trainings=6, racers=("a",), search_ended="x", is_over=True)
    )
    race_budget.search_on(made)
    assert race_budget.progress(made) == RaceProgress(rounds=2, trainings=6)


def test_only_a_search_that_can_afford_it_measures_the_noise() -> None:
    """Two starting points of three seeds are half of twelve trainings."""
    assert [race_budget.noise_probes(study(budget, share=0.25)) for budget in (15, 16, 32)] == [2, 2, 2]
    assert race_budget.noise_probes(study(14, share=0.25)) == 0
    assert race_budget.noise_probes(study(100, share=0.0)) == 0


@pytest.mark.parametrize(("trainings", "probes"), [(0, 2), (3, 0)])
def test_what_a_super_network_costs_measures_no_noise(trainings: int, probes: int) -> None:
    """Of 16 trainings 12 are the search's, which is just enough."""
    made = study(16, share=0.25, created=trainings)
    run = OneShotRun(configuration=BASE, networks=(), smallest=1, trainings=trainings)
    made.one_shot = run.model_dump(mode="json")
    assert race_budget.noise_probes(made) == probes
