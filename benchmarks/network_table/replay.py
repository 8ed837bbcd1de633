"""Searches for smaller networks, replayed on the table: many games, each with its own luck, written down."""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import optuna

from api_schemas.trial_configuration import canonical, patch
from benchmarks import json_lines
from benchmarks.autopeft.protocol import TEST_ROWS
from benchmarks.network_table.networks import DROPPED, NARROWED, WHOLE
from benchmarks.peft_table.configurations import searched_shape
from benchmarks.peft_table.game import Game, Report, Searcher, observed_best, observed_front, true_scores
from benchmarks.peft_table.paretune_search import Parts, search
from benchmarks.peft_table.replay import volume
from benchmarks.peft_table.searchers import gp_sampler, random_search, search_with, tpe
from benchmarks.peft_table.table import Table
from service.studies.starting_points import default_starting_points

RESULTS = Path(__file__).parents[1] / "results" / "network_table" / "replays.jsonl"
BUDGETS = (16, 32, 60)
KEYS = ("task", "searcher", "budget", "draw")
"""What tells a game from the others."""

POPULATION = 10
"""Of NSGA-II: six generations of the largest budget."""


def by_hand(game: Game, *, origins: Sequence[str]) -> Report:
    """Train what people would cut, the larger networks first; what is left gives each further seeds."""
    for row in game.rows:
        if game.table.origins[row] in origins and game.left:
            game.train(row)
    while game.left and any(map(game.may_repeat, game.seen)):
        _one_more_seed_each(game)
    return Report(observed_best(game), observed_front(game))


def _one_more_seed_each(game: Game) -> None:
    for row in list(game.seen):
        if game.left and game.may_repeat(row):
            game.train(row)


def nsga2(game: Game) -> Report:
    """Search with NSGA-II as Optuna has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.NSGAIISampler(seed=game.seed, population_size=POPULATION)
    return search_with(game, sampler)


def paretune(game: Game, **parts: Any) -> Report:
    """Search as a study does that makes its backbone smaller: what people would do by hand comes first."""
    return search(game, Parts(started_with(game.table), **parts))


def started_with(table: Table) -> tuple[int, ...]:
    """Return the rows that the service's own starting points are."""
    shape = searched_shape()
    row_of = {one.model_dump_json(): row for row, one in enumerate(table.configurations)}
    points = default_starting_points(table.space, table.base, shape=shape, learns=False)
    keys = (canonical(patch(table.base, point), shape=shape).model_dump_json() for point in points)
    return tuple(row_of[key] for key in keys)


SEARCHERS: Mapping[str, Searcher] = {
    "last layers dropped": partial(by_hand, origins=(WHOLE, DROPPED)),
    "narrower by magnitude": partial(by_hand, origins=(WHOLE, NARROWED)),
    "both by hand": partial(by_hand, origins=(WHOLE, DROPPED, NARROWED)),
    "random": random_search,
    "NSGA-II": nsga2,
    "tpe": tpe,
    "gp sampler": gp_sampler,
    "paretune": paretune,
    "without race": partial(paretune, race=False),
    "without belief": partial(paretune, believed=False),
}


def games(
    tables: Sequence[Table], *, names: Sequence[str], budgets: Sequence[int], draws: int
) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Yield what tells a game from the others, and how it is played; first draws of everything come first."""
    for draw, budget, table, name in product(range(draws), budgets, tables, names):
        key = {"task": table.task, "searcher": name, "budget": budget, "draw": draw}
        yield key, partial(_played, table, SEARCHERS[name], budget=budget, seed=draw)


def _played(table: Table, searcher: Searcher, *, budget: int, seed: int) -> dict[str, Any]:
    return judged(table, searcher(Game(table, range(len(table)), budget=budget, seed=seed)))


def judged(table: Table, report: Report) -> dict[str, Any]:
    """Return what a reported front is worth on test rows.

    That is its share of the hypervolume of the whole table, and the operations of its cheapest member, as a
    share of the whole network's, that is within one standard error of the whole network's score.
    """
    truth, whole = true_scores(table), table.origins.index(WHOLE)
    score = truth[whole]
    error = np.sqrt(score * (1 - score) / TEST_ROWS)
    good = [row for row in (*report.front, whole) if truth[row] >= score - error]
    return {
        "networks": len(table),
        "hypervolume": round(volume(table, report.front), 5),
        "cheapest": round(float(min(table.cost[row] for row in good) / table.cost[whole]), 4),
        "best": round(100 * float(truth[report.best]), 3),
        "members": len(report.front),
    }


def replay(tables: Sequence[Table], *, results: Path = RESULTS, **asked: Any) -> None:
    """Play every game that is not written down yet."""
    known = {tuple(line[key] for key in KEYS) for line in json_lines.read(results)}
    for key, play in games(tables, **asked):
        if tuple(key[name] for name in KEYS) not in known:
            json_lines.append(results, key | play())
