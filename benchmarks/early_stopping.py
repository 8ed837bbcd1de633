"""What early stopping saves and costs, replayed on recorded trials: `python -m benchmarks.early_stopping`.

Each replay runs the recorded trials of a task in another order, one after another, under one rule.
Columns: the share of training steps that were saved; the hypervolume (score, log10 of parameters) of
the trials trained to the end, relative to training all of them; the same for a study that trains
every trial to the end until the same number of steps is spent.
"""

import argparse
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import moocore
import numpy as np

from api_schemas.objectives import Direction, Metric, Objective
from api_schemas.studies import EarlyStopping
from api_schemas.trials import SHARE
from benchmarks import json_lines
from service.early_stopping.stopping_rule import Curve, judge
from service.trials.pareto_front import hypervolume

RECORDED = Path(__file__).parent / "recorded"
OBJECTIVES = (
    Objective(metric=Metric.SCORE, direction=Direction.MAXIMIZE),
    Objective(metric=Metric.TRAINABLE_PARAMETERS, direction=Direction.MINIMIZE),
)

StopsAt = Callable[[Curve, Sequence[Curve]], bool]


@dataclass(frozen=True)
class Replay:
    """What one replay spent and found."""

    saved: float
    hypervolume: float
    same_steps_hypervolume: float


def main() -> None:
    """Print a line for each task and rule."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tasks", nargs="+", default=json_lines.names(RECORDED))
    parser.add_argument("--replays", type=int, default=100)
    arguments = parser.parse_args()
    print(
        f"{'task':18} {'rule':20} {'trials':>6} {'saved':>7} {'hypervolume':>12} {'same steps, all full':>21}"
    )
    for task in arguments.tasks:
        curves = load(RECORDED / f"{task}.jsonl")
        for name, stops in rules(len(curves[0].measurements), chance_of_worst(curves)).items():
            found = [replay(curves, stops, seed=seed) for seed in range(arguments.replays)]
            columns = [
                statistics.fmean(getattr(run, column) for run in found)
                for column in ("saved", "hypervolume", "same_steps_hypervolume")
            ]
            worst = statistics.quantiles([run.hypervolume for run in found], n=20)[0]
            print(
                f"{task:18} {name:20} {len(curves):6} {columns[0]:7.1%} {columns[1]:8.4f} "
                f"(5 %: {worst:.4f}) {columns[2]:8.4f}"
            )


def load(file: Path) -> list[Curve]:
    """Read the trials that were trained to the end."""
    return [
        Curve(
            measurements=tuple(
                {
                    **point,
                    SHARE: number / len(line["curve"]),
                    Metric.TRAINABLE_PARAMETERS: line["metrics"][Metric.TRAINABLE_PARAMETERS],
                }
                for number, point in enumerate(line["curve"], start=1)
            ),
            final=line["metrics"],
        )
        for line in json_lines.read(file)
        if line["state"] == "SUCCEEDED"
    ]


def chance_of_worst(curves: Sequence[Curve]) -> tuple[float, float]:
    """Return the reference point: the worst score and a tenth more than the most parameters."""
    finals = [curve.final for curve in curves if curve.final is not None]
    return (
        min(final[Metric.SCORE] for final in finals),
        1.1 * max(final[Metric.TRAINABLE_PARAMETERS] for final in finals),
    )


def rules(measurements: int, reference: tuple[float, float]) -> dict[str, StopsAt]:
    """Return the rules by name, each a question asked after every measurement."""

    def ours(rule: EarlyStopping) -> StopsAt:
        return lambda own, others: (
            judge(
                own,
                others,
                objectives=OBJECTIVES,
                constraints=(),
                reference_point=reference,
                rule=rule,
            ).stop
        )

    return {
        "never": ours(EarlyStopping.NEVER),
        "hypervolume": ours(EarlyStopping.HYPERVOLUME),
        "rank": ours(EarlyStopping.RANK),
        "MO-ASHA, eta 2": mo_asha(2, measurements),
        "MO-ASHA, eta 3": mo_asha(3, measurements),
    }


def mo_asha(eta: int, measurements: int) -> StopsAt:
    """Multi-objective ASHA, stopping type: at each rung only the best 1/eta by Pareto rank go on.

    Schmucker and others 2021 (arXiv 2106.12639); rungs at 1, eta, eta^2, ... measurements.
    """
    rungs = {eta**power for power in range(10) if eta**power < measurements}

    def stops(own: Curve, others: Sequence[Curve]) -> bool:
        number = len(own.measurements)
        if number not in rungs:
            return False
        peers = [curve for curve in others if len(curve.measurements) >= number]
        points = [
            [
                -curve.measurements[number - 1][Metric.SCORE],
                curve.measurements[-1][Metric.TRAINABLE_PARAMETERS],
            ]
            for curve in (own, *peers)
        ]
        ranks = moocore.pareto_rank(np.asarray(points))
        ahead = int((ranks[1:] < ranks[0]).sum())
        return bool(peers) and ahead >= max(1, len(points) // eta)

    return stops


def replay(curves: Sequence[Curve], stops: StopsAt, *, seed: int) -> Replay:
    """Run the trials in one order under one rule."""
    order = list(curves)
    random.Random(seed).shuffle(order)  # noqa: S311  an order, not a secret
    reference = chance_of_worst(curves)
    whole = len(order[0].measurements)
    seen: list[Curve] = []
    spent = 0
    for trial in order:
        number = next(
            (k for k in range(1, whole) if stops(Curve(trial.measurements[:k]), seen)),
            whole,
        )
        spent += number
        seen.append(trial if number == whole else Curve(trial.measurements[:number]))
    full = _hypervolume(order, reference)
    affordable = order[: max(1, spent // whole)]
    return Replay(
        saved=1 - spent / (whole * len(order)),
        hypervolume=_hypervolume(seen, reference) / full,
        same_steps_hypervolume=_hypervolume(affordable, reference) / full,
    )


def _hypervolume(curves: Sequence[Curve], reference: tuple[float, float]) -> float:
    finals = [curve.final for curve in curves if curve.final is not None]
    return hypervolume(OBJECTIVES, finals, reference_point=reference)


if __name__ == "__main__":
    main()
