"""Replay searches on the table, many games a task, each with its own luck. Written down game by game."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from api_schemas.objectives import Metric
from api_schemas.peft.registry import PeftMethod
from benchmarks import json_lines
from benchmarks.peft_table.configurations import CUSTOMARY
from benchmarks.peft_table.game import Game, Report, Searcher, true_scores
from benchmarks.peft_table.paretune_search import Parts, search
from benchmarks.peft_table.searchers import by_hand, gp_sampler, random_search, tpe
from benchmarks.peft_table.table import Table
from benchmarks.portfolio import portfolio
from service.optimization.problem import Observation, Source

RESULTS = Path(__file__).parents[1] / "results" / "peft_table" / "replays.jsonl"
BUDGETS = (16, 32, 64)

KEYS = ("task", "searcher", "budget", "full", "draw")
"""What tells a game from the others."""

ABLATIONS: Mapping[str, dict[str, bool]] = {
    "paretune": {},
    "without portfolio": {"portfolio": False},
    "without probes": {"probes": False},
    "without known noise": {"probes": False, "known_noise": False},
    "without race": {"race": False},
    "race for the best": {"race_for_best": True},
    "without recorded trials": {"sources": False},
    "without belief": {"believed": False},
    "engine alone": {
        "portfolio": False,
        "sources": False,
        "probes": False,
        "known_noise": False,
        "race": False,
        "believed": False,
    },
}


PEERS: Mapping[str, Searcher] = {
    "by hand": by_hand,
    "random": random_search,
    "tpe": tpe,
    "gp sampler": gp_sampler,
}

NAMES = (*PEERS, *ABLATIONS)


def searchers(tables: Sequence[Table], played: Table, rows: Sequence[int]) -> dict[str, Searcher]:
    """Return everybody who plays a task, by name."""
    others = [table for table in tables if table.task != played.task]
    members = tuple(row for row in portfolio(others) if row in set(rows))
    found = dict(PEERS)
    for name, switches in ABLATIONS.items():
        chosen = members if switches.get("portfolio", True) else ()
        known = recorded_trials(others) if switches.get("sources", True) else ()
        rest = {key: value for key, value in switches.items() if key not in {"portfolio", "sources"}}
        found[name] = partial(search, parts=Parts(chosen, known, **rest))
    return found


def recorded_trials(tables: Sequence[Table]) -> tuple[Source, ...]:
    """Return what other tasks say of every configuration that `auto` holds, as former studies."""
    return tuple(
        Source(
            table.task,
            observations=tuple(
                Observation(point, {Metric.SCORE: float(score)})
                for point, score in zip(table.points, table.validation.mean(axis=1), strict=True)
                if point is not None
            ),
        )
        for table in tables
    )


def rows_with(table: Table, *, full: bool) -> list[int]:
    """Return the rows that may be trained: all, or those that leave the backbone's weights alone."""
    return [
        row for row, one in enumerate(table.configurations) if full or one.peft.method is not PeftMethod.FULL
    ]


def games(
    tables: Sequence[Table], *, names: Sequence[str], budgets: Sequence[int], draws: int
) -> Iterator[tuple[dict[str, Any], Callable[[], dict[str, Any]]]]:
    """Yield what tells a game from the others, and how it is played; first draws of everything come first."""
    settings = [
        (table, allowed, rows, searchers(tables, table, rows))
        for table in tables
        for allowed in (True, False)
        for rows in [rows_with(table, full=allowed)]
    ]
    for draw, budget, (table, allowed, rows, of_task), name in product(
        range(draws), budgets, settings, names
    ):
        key = {"task": table.task, "searcher": name, "budget": budget, "full": allowed, "draw": draw}
        yield key, partial(_played, table, rows, of_task[name], budget=budget, seed=draw)


def _played(
    table: Table, rows: Sequence[int], searcher: Searcher, *, budget: int, seed: int
) -> dict[str, Any]:
    report = searcher(Game(table, rows, budget=budget, seed=seed))
    return judged(table, report)


def judged(table: Table, report: Report) -> dict[str, Any]:
    """Return what a report is worth on test rows, in points of accuracy, and its share of the hypervolume."""
    truth = true_scores(table)
    return {
        "configurations": len(table),
        "best": table.names[report.best],
        "test": round(100 * float(truth[report.best]), 3),
        "against_default": round(100 * float(truth[report.best] - truth[table.names.index(CUSTOMARY)]), 3),
        "hypervolume": round(volume(table, report.front), 5),
        "members": len(report.front),
        **_said(report, table, truth),
    }


def _said(report: Report, table: Table, truth: Float64[np.ndarray, " n"]) -> dict[str, Any]:
    """Return how sure a searcher was, and what was true: a list for each tenth, and the pair of its best.

    A tenth has the number of rows, the sum of their chances, and how many are on the true front.
    """
    tenths = np.zeros((10, 3))
    front = true_front(table, tuple(report.chances))
    for row, chance in report.chances.items():
        tenths[min(int(10 * chance), 9)] += (1, chance, row in front)
    found: dict[str, Any] = {}
    if report.chances:
        found["chances"] = tenths.round(3).tolist()
    if report.better is not None:
        is_better = bool(truth[report.best] > truth[table.names.index(CUSTOMARY)])
        found["better"] = [round(report.better, 4), is_better]
    return found


def true_front(table: Table, rows: Sequence[int]) -> set[int]:
    """Return which of the rows no other one dominates on test, in cost and mean score."""
    truth, best, found = true_scores(table), -np.inf, set()
    for row in sorted(rows, key=lambda row: (table.cost[row], -truth[row])):
        if truth[row] > best:
            best = truth[row]
            found.add(row)
    return found


def volume(table: Table, rows: Sequence[int]) -> float:
    """Return the hypervolume that rows dominate on test, as a share of what the whole table dominates."""
    truth = true_scores(table)
    return table.dominated(rows, truth) / table.dominated(range(len(table)), truth)


def replay(tables: Sequence[Table], *, results: Path = RESULTS, **asked: Any) -> None:
    """Play every game that is not written down yet; on a table that has grown they are played again."""
    known = {
        tuple(line[key] for key in KEYS)
        for line in json_lines.read(results)
        if line["configurations"] == len(tables[0])
    }
    for key, play in games(tables, **asked):
        if tuple(key[name] for name in KEYS) not in known:
            json_lines.append(results, key | play())
