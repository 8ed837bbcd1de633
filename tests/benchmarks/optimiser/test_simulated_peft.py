"""The simulated PEFT spaces: their exact front, their cost, and what counts as the same trial."""

import itertools
import random

import moocore
import numpy as np
import pytest

from benchmarks.optimiser.hypervolume import hypervolume
from benchmarks.optimiser.problems.problem import columns_of, engine_problem
from benchmarks.optimiser.problems.simulated_peft import (
    MODULES,
    draw_instance,
    exact_front,
    simulated_peft,
)
from service.optimization.candidates import density_sample
from service.optimization.suggest import suggest
from tests.service.optimization.problems import autopeft_problem, candidates


def test_the_listed_front_is_the_front_of_the_whole_space() -> None:
    """On two layers every configuration can be tried: the same front comes out."""
    problem = simulated_peft(2, 3)
    space = problem.search_space
    choices = [getattr(one, "choices", (False, True)) for one in space.parameters]
    names = [one.name for one in space.parameters]
    everything = [
        problem.evaluate(dict(zip(names, values, strict=True))) for values in itertools.product(*choices)
    ]
    values = np.array([list(metrics.values()) for metrics in everything if metrics is not None])
    front = np.unique(values[moocore.is_nondominated(values)], axis=0)
    np.testing.assert_allclose(front, exact_front(draw_instance(2, 3)), rtol=1e-12)
    assert hypervolume(problem.objectives, values) == pytest.approx(problem.best_hypervolume)


def test_any_set_of_layers_is_at_most_as_good_as_the_most_important_ones() -> None:
    """The claim behind the enumeration, at the real depth: no draw gets beyond the listed front."""
    problem = simulated_peft(12, 0)
    drawn = density_sample(problem.search_space, 500, rng=random.Random(0))
    values = np.array([list((problem.evaluate(one) or {}).values()) for one in drawn])
    front = exact_front(draw_instance(12, 0))
    assert all((front <= value + 1e-12).all(axis=1).any() for value in values)


def test_the_known_cost_is_the_products_own_count() -> None:
    """The vectorised formula and `api_schemas.peft.counts` agree."""
    problem = simulated_peft(12, 0)
    drawn = density_sample(problem.search_space, 50, rng=random.Random(1))
    counted = problem.exact_metrics["trainable_parameters"](columns_of(problem.search_space, drawn))
    exact = autopeft_problem(12)
    expected = exact.exact_metrics["trainable_parameters"](candidates(exact, drawn))
    assert counted.tolist() == list(expected)
    assert [(problem.evaluate(one) or {})["trainable_parameters"] for one in drawn] == list(expected)


def test_configurations_without_a_module_are_one_trial() -> None:
    """No layer on, or no size above 0: both are the head alone."""
    problem = simulated_peft(12, 0)
    base = {one.name: False for one in problem.search_space.parameters} | dict.fromkeys(MODULES, 0)
    no_layers = base | dict.fromkeys(MODULES, 6)
    no_sizes = base | {"peft.active_layers.3": True}
    assert problem.key(no_layers) == problem.key(no_sizes) == problem.key(base)
    assert problem.evaluate(no_layers) == problem.evaluate(no_sizes) == problem.evaluate(base)


def test_the_optimiser_takes_the_problem() -> None:
    """What it suggests can be evaluated."""
    problem = simulated_peft(12, 0)
    suggested = suggest(engine_problem(problem), [], pending=[], count=2, seed=0)
    assert all(problem.evaluate(one.parameterization) for one in suggested)
