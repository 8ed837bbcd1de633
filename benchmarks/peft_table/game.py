"""What a searcher may do with a table: train a configuration once more, with a seed that it has not had.

Which seed comes next is drawn for each configuration and each game, so luck differs from game to game.
Knows what was spent, and nothing about how rows are chosen.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float64

from benchmarks.peft_table.table import Table


class Game:
    """A table, the rows that may be trained, a budget of trainings, and what has been observed."""

    def __init__(self, table: Table, rows: Sequence[int], *, budget: int, seed: int) -> None:
        self.table = table
        self.rows = tuple(rows)
        self.budget = budget
        self.seed = seed
        rng = np.random.default_rng([seed, 17])
        self._order = [rng.permutation(table.validation.shape[1]) for _ in range(len(table))]
        self.seen: dict[int, list[float]] = {}

    @property
    def left(self) -> int:
        """How many trainings may still be spent."""
        return self.budget - sum(map(len, self.seen.values()))

    @property
    def untried(self) -> list[int]:
        """The rows that have not been trained."""
        return [row for row in self.rows if row not in self.seen]

    def may_repeat(self, row: int) -> bool:
        """Return whether a row has a seed left."""
        return len(self.seen.get(row, ())) < len(self._order[row])

    def train(self, row: int) -> float:
        """Spend a training on a row and return its validation score.

        Raises:
            ValueError: If nothing is left to spend, or the row has had all of its seeds.
        """
        if not self.left or not self.may_repeat(row):
            raise ValueError("a training that is not there cannot be spent")
        scores = self.seen.setdefault(row, [])
        scores.append(float(self.table.validation[row, self._order[row][len(scores)]]))
        return scores[-1]

    def mean(self, row: int) -> float:
        """Return the mean of a row's observed scores."""
        return float(np.mean(self.seen[row]))


@dataclass(frozen=True)
class Report:
    """What a searcher answers: the configuration that it takes for the best, and the front that it reports.

    `chances` are of each trained row to be on the front of them all, `better` of the best to be better than
    the default: empty and None for a searcher that does not say.
    """

    best: int
    front: tuple[int, ...]
    chances: dict[int, float] = field(default_factory=dict)
    better: float | None = None


Searcher = Callable[[Game], Report]


def observed_front(game: Game) -> tuple[int, ...]:
    """Return the trained rows whose mean score and cost no other trained row dominates."""
    rows = sorted(game.seen, key=lambda row: (game.table.cost[row], -game.mean(row)))
    found: list[int] = []
    for row in rows:
        if not found or game.mean(row) > game.mean(found[-1]):
            found.append(row)
    return tuple(found)


def observed_best(game: Game) -> int:
    """Return the trained row with the best mean score; of equal ones the one that costs less."""
    return max(game.seen, key=lambda row: (game.mean(row), -game.table.cost[row]))


def true_scores(table: Table) -> Float64[np.ndarray, " n"]:
    """Return what a report is judged by: the mean test score over all seeds."""
    return table.test.mean(axis=1)
