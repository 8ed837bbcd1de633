"""Who races, who is dropped, and who gets the next seeds."""

from service.trials.race_rules import Contender, begin, behind, next_seeds


def one(
    number: int,
    loss: float,
    chance: float | None = 1.0,
    *,
    seeds: int = 1,
    over_default: float | None = 0.5,
    is_default: bool = False,
) -> Contender:
    return Contender(str(number), number, seeds, loss, chance, over_default, is_default)


def numbers(contenders: list[Contender]) -> list[int]:
    return [contender.number for contender in contenders]


def test_without_contenders_nobody_races() -> None:
    """Nor is anybody behind."""
    assert begin([], trainings=8) == behind([]) == next_seeds([], trainings=3) == []


def test_the_best_race_with_the_default() -> None:
    """As many as the trainings last for two rounds, two at least; whoever has no chance stays out."""
    field = [one(0, -0.5, 0.01, is_default=True), one(1, -0.9, 0.04), one(2, -0.7, 0.5), one(3, -0.8, 0.3)]
    assert numbers(begin(field, trainings=8)) == [0, 3, 2]
    assert numbers(begin(field, trainings=4)) == [0, 3]
    assert numbers(begin(field, trainings=1)) == [0, 3]
    assert numbers(begin(field[1:], trainings=4)) == [3, 2]


def test_who_is_behind_by_chance_is_dropped() -> None:
    """Less than a tenth of the likeliest one's; where no model knows a chance, nobody is."""
    field = [one(1, -0.9, 0.8), one(2, -0.8, 0.09), one(3, -0.7, 0.07), one(4, -0.9, None)]
    assert numbers(behind(field)) == [3]
    assert behind([one(1, -0.9, None), one(2, 0.0, None)]) == []


def test_the_default_leaves_once_nothing_more_is_to_be_learnt_of_it() -> None:
    """Not while one of the others may be better or worse, nor while it may be on the front."""
    default = one(0, -0.5, 0.0, is_default=True)
    assert behind([default, one(1, -0.9, over_default=0.95)]) == []
    assert behind([default, one(1, -0.9, over_default=None)]) == []
    assert behind([default, one(1, -0.9, over_default=0.995), one(2, -0.4, over_default=0.005)]) == [default]
    likely = one(0, -0.5, 0.4, is_default=True)
    assert behind([likely, one(1, -0.9, over_default=0.995)]) == []


def test_the_last_trainings_go_to_the_fewest_seeds() -> None:
    """Among equals to the best."""
    field = [one(1, -0.7, seeds=2), one(2, -0.8, seeds=2), one(3, -0.1, seeds=1)]
    assert numbers(next_seeds(field, trainings=9)) == [3, 2, 1]
    assert numbers(next_seeds(field, trainings=2)) == [3, 2]
