"""Paretune as it plays: the engine's own door, a portfolio first, probes of the noise, a race at the end.

Each of these can be left out, so that what it is worth can be measured. The portfolio never saw the task that
is played: it is chosen on the others, whose rows are also the recorded trials. The race has the service's
rules; a row has no more seeds than the table, so a race that wants a fourth one of it ends.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from api_schemas.objectives import Metric
from api_schemas.trial_configuration import canonical, patch
from benchmarks.autopeft.protocol import VALIDATION_ROWS
from benchmarks.peft_table.configurations import searched_shape
from benchmarks.peft_table.game import Game, Report, observed_best, observed_front
from benchmarks.peft_table.searchers import reachable
from service.noise import noise_of
from service.optimization.believed_front import believe
from service.optimization.problem import Beliefs, Compared, Observation, Problem, Source
from service.optimization.suggest import suggest
from service.suggestions.exact_metrics import exact_metrics
from service.suggestions.spellings import one_spelling
from service.trials import race_rules
from service.trials.default_protection import Lead, probability_better
from service.trials.race_rules import Contender

CLASSES = {"tweets": 3, "20newsgroups": 20}
"""Of tasks with more than two."""

PROBED = 2
PROBE_SEEDS = 3
RACE_SHARE = 0.25


@dataclass(frozen=True)
class Parts:
    """What of Paretune plays. `portfolio` are rows of the table, the default first.

    `race_for_best` gives seeds to whoever may have the best score, and looks at no other objective.
    """

    portfolio: tuple[int, ...] = ()
    sources: tuple[Source, ...] = ()
    probes: bool = True
    known_noise: bool = True
    race: bool = True
    race_for_best: bool = False
    believed: bool = True


def search(game: Game, parts: Parts) -> Report:
    """Play a game and report."""
    player = _Player(game, parts)
    race_budget = round(game.budget * RACE_SHARE) if parts.race else 0
    for row in parts.portfolio:
        if row in player.rows and row not in game.seen and game.left > race_budget:
            game.train(row)
    if parts.probes:
        for row in parts.portfolio[:PROBED]:
            for _ in range(PROBE_SEEDS - 1):
                if row in game.seen and game.left > race_budget and game.may_repeat(row):
                    game.train(row)
    while game.left > race_budget:
        game.train(player.next_row())
    player.race()
    return player.report()


class _Player:
    def __init__(self, game: Game, parts: Parts) -> None:
        self.game, self.parts = game, parts
        self.rows, self.nearest = reachable(game)
        self.place = {row: place for place, row in enumerate(self.rows)}
        shape, base = searched_shape(), game.table.base
        self.problem = Problem(
            search_space=game.table.space,
            objectives=game.table.objectives,
            constraints=(),
            exact_metrics=exact_metrics(base, shape=shape, classes=CLASSES.get(game.table.task, 2)),
            key=lambda point: canonical(patch(base, point), shape=shape).model_dump_json(),
            reference_point=None,
            starting_points=(),
            sources=parts.sources,
            spelled=one_spelling(base, shape=shape, classes=CLASSES.get(game.table.task, 2)),
        )
        self.keys = {row: self.problem.key(self.nearest.points[place]) for row, place in self.place.items()}

    def next_row(self) -> int:
        (one,) = suggest(self.problem, self.observations(), pending=(), count=1, seed=self.game.seed)
        free = [place for place, row in enumerate(self.rows) if row not in self.game.seen]
        return self.rows[self.nearest.row(one.parameterization, among=free)]

    def observations(self) -> list[Observation]:
        return [
            Observation(
                self.nearest.points[self.place[row]],
                {
                    Metric.SCORE: self.game.mean(row),
                    self.game.table.objectives[1].metric: float(self.game.table.cost[row]),
                },
                {Metric.SCORE: _error(scores)} if len(scores) > 1 else None,
                self.keys[row],
                seeds=len(scores),
                row_errors={Metric.SCORE: self.row_error(row)} if self.parts.known_noise else None,
            )
            for row, scores in self.game.seen.items()
        ]

    def row_error(self, row: int) -> float:
        """Return the binomial error of an accuracy, a right and a wrong row added, as the worker has it."""
        share = (self.game.mean(row) * VALIDATION_ROWS + 1) / (VALIDATION_ROWS + 2)
        return float(np.sqrt(share * (1 - share) / VALIDATION_ROWS))

    def deviations(self) -> dict[int, float]:
        """Return how far each observed mean may be off, by the service's own reckoning of the noise."""
        seen = self.game.seen
        known = noise_of(
            seeds=np.array([len(scores) for scores in seen.values()], dtype=np.float64),
            errors=np.array([_error(scores) for scores in seen.values()]),
            row_errors=np.array([self.row_error(row) for row in seen]),
        )
        assert known is not None
        return dict(zip(seen, np.sqrt(known.of_mean).tolist(), strict=True))

    def beliefs(self) -> Beliefs | None:
        default = self.parts.portfolio[0] if self.parts.portfolio else None
        compared = Compared(self.keys[default], Metric.SCORE) if default in self.game.seen else None  # type: ignore[index]
        return believe(
            self.problem,
            self.observations(),
            succeeded={self.keys[row] for row in self.game.seen},
            compared_with=compared,
            seed=self.game.seed,
        )

    def believed(self) -> dict[int, tuple[float, float]]:
        """Return mean and deviation of each trained row: the model's, or what was observed."""
        found = self.beliefs() if self.parts.believed else None
        if found is None:
            return {row: (self.game.mean(row), off) for row, off in self.deviations().items()}
        row_of = {key: row for row, key in self.keys.items() if row in self.game.seen}
        pairs = zip(found.means[Metric.SCORE], found.deviations[Metric.SCORE], strict=True)
        return {row_of[key]: pair for key, pair in zip(found.keys, pairs, strict=True)}  # type: ignore[index]

    def race(self) -> None:
        """Spend what is left on further seeds, by the service's rules, until the race is decided."""
        racers: Sequence[Contender] | None = None
        while self.game.left:
            known = {one.number: one for one in self.contenders()}
            if racers is None:
                racers = race_rules.begin(list(known.values()), trainings=self.game.left)
            else:
                racing = [known[one.number] for one in racers]
                behind = race_rules.behind(racing)
                racers = [one for one in racing if one not in behind]
            able = [one for one in racers if self.game.may_repeat(one.number)]
            if len(racers) < 2 or not able:
                return
            for one in race_rules.next_seeds(able, trainings=self.game.left):
                self.game.train(one.number)

    def contenders(self) -> list[Contender]:
        """Return the trained rows as a race sees them, numbered as in the table."""
        beliefs = self.beliefs() if self.parts.believed else None
        rows = list(self.game.seen)
        means = [self.game.mean(row) for row in rows]
        chances: list[float | None] = [None] * len(rows)
        leads = None
        if beliefs is not None:
            row_of = {key: row for row, key in self.keys.items() if row in self.game.seen}
            rows = [row_of[str(key)] for key in beliefs.keys]
            means, chances = beliefs.means[Metric.SCORE], [*beliefs.front_probabilities]
            leads = beliefs.difference_deviations
        if self.parts.race_for_best:
            believed = self.believed()
            of_best = _chances_to_be_best(believed, seed=self.game.seed + self.game.left)
            chances = [of_best[row] for row in rows]
        default = self.parts.portfolio[0] if self.parts.portfolio else None
        of_default = means[rows.index(default)] if default in rows else None
        return [
            Contender(
                trial_id=str(row),
                number=row,
                seeds=len(self.game.seen[row]),
                loss=-mean,
                chance=chances[place],
                chance_over_default=None
                if leads is None or of_default is None
                else probability_better(Lead(mean - of_default, leads[place], None)),
                is_default=row == default,
            )
            for place, (row, mean) in enumerate(zip(rows, means, strict=True))
        ]

    def report(self) -> Report:
        if not self.parts.believed:
            return Report(observed_best(self.game), observed_front(self.game))
        believed = self.believed()
        best = max(believed, key=lambda row: believed[row][0])
        ordered = sorted(believed, key=lambda row: (self.game.table.cost[row], -believed[row][0]))
        front: list[int] = []
        for row in ordered:
            if not front or believed[row][0] > believed[front[-1]][0]:
                front.append(row)
        of_best = {one.number: one for one in self.contenders()}
        return Report(
            best,
            tuple(front),
            chances={row: one.chance for row, one in of_best.items() if one.chance is not None},
            better=None if of_best[best].is_default else of_best[best].chance_over_default,
        )


def _error(scores: list[float]) -> float:
    """Return the standard error over seeds; not a number for one."""
    return float(np.std(scores, ddof=1) / np.sqrt(len(scores))) if len(scores) > 1 else math.nan


def _chances_to_be_best(believed: dict[int, tuple[float, float]], *, seed: int) -> dict[int, float]:
    rng, rows = np.random.default_rng(seed), list(believed)
    means, deviations = np.array([believed[row] for row in rows]).T
    draws = means + deviations * rng.standard_normal((2000, len(rows)))
    counts = np.bincount(draws.argmax(axis=1), minlength=len(rows))
    return {row: float(count) / 2000 for row, count in zip(rows, counts, strict=True)}
