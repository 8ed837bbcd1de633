"""Every benchmark problem by name. A problem is built when it is asked for."""

from collections.abc import Callable
from functools import cache, partial

from benchmarks.optimiser.problems.problem import BenchmarkProblem
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
    """
    return _makers()[name]()


def _makers() -> dict[str, Callable[[], BenchmarkProblem]]:
    makers: dict[str, Callable[[], BenchmarkProblem]] = {}
    for instances, held_out in ((TUNING_INSTANCES, False), (HELD_OUT_INSTANCES, True)):
        for layers, seed in instances:
            makers[f"simulated-peft-{layers}-{seed}"] = partial(
                simulated_peft, layers, seed, held_out=held_out
            )
    return makers
