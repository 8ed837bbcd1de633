"""A budget is spent once, seeds are not had twice, and reports are of what was seen."""

import pytest

from benchmarks.peft_table.game import Game, observed_best, observed_front
from benchmarks.peft_table.searchers import by_hand, random_search, tpe
from benchmarks.peft_table.table import Table
from tests.benchmarks.peft_table.recorded import recorded_tables


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Table:
    """The table of one task."""
    return recorded_tables(tmp_path_factory.mktemp("table"))[0]


def game(table: Table, *, budget: int, seed: int = 0) -> Game:
    """Return a game in which every row may be trained."""
    return Game(table, range(len(table)), budget=budget, seed=seed)


def test_more_than_the_budget_cannot_be_spent(table: Table) -> None:
    """A fourth training of three is refused."""
    played = game(table, budget=3)
    for row in range(3):
        played.train(row)
    with pytest.raises(ValueError, match="cannot be spent"):
        played.train(3)


def test_a_row_has_each_of_its_seeds_once(table: Table) -> None:
    """The fourth training of a row with three seeds is refused; the three are those of the table."""
    played = game(table, budget=9)
    scores = [played.train(5) for _ in range(3)]
    assert sorted(scores) == sorted(table.validation[5].tolist())
    assert not played.may_repeat(5)
    with pytest.raises(ValueError, match="cannot be spent"):
        played.train(5)


def test_luck_differs_from_game_to_game_and_not_within_one(table: Table) -> None:
    """The first score of a row depends on the game's seed alone."""
    firsts = [game(table, budget=1, seed=seed).train(7) for seed in range(8)]
    assert len(set(firsts)) > 1
    assert game(table, budget=1, seed=3).train(7) == firsts[3]


@pytest.mark.parametrize("budget", [16, 32, 64])
def test_by_hand_spends_its_budget_on_every_method(table: Table, budget: int) -> None:
    """Fewer rates where there is less, further seeds where there is more."""
    played = game(table, budget=budget)
    report = by_hand(played)
    assert played.left == 0
    assert len({table.origins[row] for row in played.seen}) == 8
    assert report.best in played.seen


def test_random_search_and_tpe_spend_their_budgets(table: Table) -> None:
    """Every training goes to another row."""
    for searcher in (random_search, tpe):
        played = game(table, budget=12)
        searcher(played)
        assert len(played.seen) == 12


def test_a_front_has_no_member_that_another_dominates(table: Table) -> None:
    """More parameters only for a better mean."""
    played = game(table, budget=10)
    random_search(played)
    front = observed_front(played)
    assert observed_best(played) == front[-1]
    pairs = [(table.cost[row], played.mean(row)) for row in front]
    assert pairs == sorted(pairs)
