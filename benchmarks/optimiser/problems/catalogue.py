"""Every benchmark problem by name. A problem is built when it is asked for."""

from collections.abc import Callable
from functools import cache, partial

from benchmarks.optimiser.problems.botorch_functions import FUNCTIONS, botorch_function
from benchmarks.optimiser.problems.hpo_tables import CELL_DATA, FCNET_DATA, fcnet, nas_bench_201
from benchmarks.optimiser.problems.problem import BenchmarkProblem
from benchmarks.optimiser.problems.recorded_table import recorded_table
from benchmarks.optimiser.problems.simulated_peft import simulated_peft

TUNING_INSTANCES = ((12, 0), (24, 1))
"""Layers and seeds of the simulated tasks on which the optimiser may be developed."""

HELD_OUT_INSTANCES = ((12, 7), (24, 8))
"""Those that are run once, with what was chosen on the others."""


def problem_names() -> list[str]:
    """List the problems."""
    return list(_makers())


@cache
def problem_named(name: str) -> BenchmarkProblem:
    """Build a problem.

    Raises:
        KeyError: no problem has this name.
        ProblemUnavailable: its data is not here.
    """
    return _makers()[name]()


def _makers() -> dict[str, Callable[[], BenchmarkProblem]]:
    return {
        **_simulated(TUNING_INSTANCES, held_out=False),
        **_simulated(HELD_OUT_INSTANCES, held_out=True),
        "table-rotten-tomatoes": recorded_table,
        **{
            f"nas-bench-201-{data}-{label}": partial(nas_bench_201, data, cost=cost)
            for data in CELL_DATA
            for label, cost in (("parameters", "trainable_parameters"), ("latency", "latency_ms"))
        },
        **{f"fcnet-{data}": partial(fcnet, data) for data in FCNET_DATA},
        **{name: partial(botorch_function, name) for name in FUNCTIONS},
    }


def _simulated(
    instances: tuple[tuple[int, int], ...], *, held_out: bool
) -> dict[str, Callable[[], BenchmarkProblem]]:
    return {
        f"simulated-peft-{layers}-{seed}": partial(simulated_peft, layers, seed, held_out=held_out)
        for layers, seed in instances
    }
