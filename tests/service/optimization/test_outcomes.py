"""Outcomes on the optimiser's scale, and the noise that standard errors tell."""

import math
import random

import pytest
import torch

from api_schemas.objectives import Direction, Metric, Objective, OutcomeConstraint
from service.optimization.encoded_problem import EncodedProblem
from service.optimization.outcomes import Outcome, observed_variances, outcomes_of, reference_values
from service.optimization.problem import Observation, Problem
from service.optimization.suggest import suggest
from service.optimization.surrogate import fit_surrogate
from tests.service.optimization.problems import SCORE, SECONDS, problem_on

MEMORY = Objective(metric=Metric.PEAK_MEMORY_BYTES, direction=Direction.MINIMIZE)
NUMBERS = [{"type": "float", "name": "x", "low": 0.0, "high": 1.0}]


def observed(x: float, score: float, error: float | None, **more: float) -> Observation:
    errors = None if error is None else {"score": error}
    return Observation({"x": x}, {"score": score, "training_seconds": 1.0, **more}, errors)


def test_of_a_metric_that_only_a_limit_names_what_keeps_it_is_better() -> None:
    """At most makes less the better end, at least more."""
    limits = tuple(
        OutcomeConstraint.model_validate({"metric": metric, "op": op, "bound": 2.0})
        for metric, op in (("latency_ms", "<="), ("margin", ">="))
    )
    problem = problem_on(NUMBERS, objectives=(SCORE,), constraints=limits)
    found = [(outcome.metric, outcome.sign, outcome.limits) for outcome in outcomes_of(problem)]
    assert found == [("score", 1.0, ()), ("latency_ms", -1.0, (-2.0,)), ("margin", 1.0, (2.0,))]


def test_an_inferred_reference_does_not_follow_a_collapsed_run() -> None:
    """It lies a tenth of the range beyond ten spreads below the median: 2 - 10 * 2, best 4."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    Y = torch.tensor([-1e12, 1.0, 2.0, 3.0, 4.0], dtype=torch.double).unsqueeze(1)
    assert reference_values(problem, outcomes_of(problem), Y).tolist() == pytest.approx([-18.0 - 2.2])


def test_noise_is_inferred_where_one_observation_does_not_tell() -> None:
    """A trial of one seed has no standard error, and a guess would be worse than none."""
    outcomes = outcomes_of(problem_on(NUMBERS))
    assert observed_variances(outcomes, [observed(0, 0.5, 0.1), observed(1, 0.6, None)]) == [None, None]
    given, missing = observed_variances(outcomes, [observed(0, 0.5, 0.1), observed(1, 0.6, 0.1)])
    assert given is not None
    assert missing is None


def test_a_lucky_spread_does_not_make_an_observation_exact() -> None:
    """Variances 0.04 and 0: each goes two thirds of the way to their mean of 0.02."""
    outcomes = outcomes_of(problem_on(NUMBERS, objectives=(SCORE,)))
    (variances,) = observed_variances(outcomes, [observed(0, 0.5, 0.2), observed(1, 0.6, 0.0)])
    assert variances is not None
    assert variances.squeeze(1).tolist() == pytest.approx([2 / 75, 1 / 75])


@pytest.mark.parametrize("raw", [2.0, 1e3, 7.5e8])
@pytest.mark.parametrize(
    "outcome",
    [Outcome(Metric.PEAK_MEMORY_BYTES, -1.0, exact=False), Outcome("error", -1.0, exact=False, log=True)],
)
def test_the_standard_error_of_a_logarithm_is_its_slope_times_the_error(outcome: Outcome, raw: float) -> None:
    """Against a finite difference of the scale itself."""
    step = 1e-4 * raw
    slope = (outcome.value(raw + step) - outcome.value(raw - step)) / (2 * step)
    assert math.sqrt(outcome.variance(raw, 0.01 * raw)) == pytest.approx(abs(slope) * 0.01 * raw, rel=1e-4)


def test_the_model_believes_a_precise_observation_more() -> None:
    """Two trials at one place disagree; the posterior lies near the one with the small error."""
    problem = problem_on(NUMBERS, objectives=(SCORE,))
    rng = random.Random(0)
    observations = [observed(rng.random(), 0.5 + rng.gauss(0, 0.01), 0.01) for _ in range(8)]
    pair = [observed(0.5, 0.9, 0.01), observed(0.5, 0.5, 0.4)]
    encoded = EncodedProblem(problem, [*observations, *pair], seed=0)
    X, Y, outcomes, variances = encoded.X, encoded.Y, encoded.outcomes, encoded.variances
    precise = fit_surrogate(X, Y, outcomes=outcomes, variances=variances, seed=0).process(0)
    plain = fit_surrogate(X, Y, outcomes=outcomes, variances=[None], seed=0).process(0)
    at = X[-1:]
    assert precise.posterior(at)[0].item() > plain.posterior(at)[0].item()
    assert torch.allclose(precise.noise * precise.scale**2, variances[0].squeeze(1))  # type: ignore[union-attr]


@pytest.mark.parametrize("error", [0.0, 0.02])
def test_suggestions_use_standard_errors(error: float) -> None:
    """A whole search goes on with observed noise, even where every seed agreed to the last digit."""
    problem: Problem = problem_on(NUMBERS, objectives=(SCORE, SECONDS, MEMORY))
    observations = [
        observed(x, 1 - (x - 0.3) ** 2, error, peak_memory_bytes=1e6 * (1 + x))
        for x in (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
    ]
    (found,) = suggest(problem, observations, pending=[], count=1, seed=0)
    assert found.generated_by == "logehvi"
