"""What is believed of measured trials: chances against closed forms, and means that noise misleads less."""

import numpy as np
import pytest
import torch
from torch.special import ndtr

from api_schemas.objectives import OutcomeConstraint
from service.optimization.believed_front import believe, dominated, front_probabilities
from service.optimization.gaussian_process import fit_process
from service.optimization.problem import Beliefs, Compared, Observation, Problem
from tests.service.optimization.problems import NUMBERS, SECONDS, items, problem_on

NOISE = 0.05
FREE = {"training_seconds": lambda candidates: 1.0 + candidates.values("x").astype(float)}


def rows(*values: tuple[float, ...]) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.double)


def test_two_independent_points_have_the_chance_of_the_closed_form() -> None:
    """P(a dominates b) is the product of the chances of leading in each objective."""
    means = rows((0.8, 0.5), (0.7, 0.3))
    deviations = rows((0.1, 0.2), (0.1, 0.1))
    covariances = [torch.diag(column**2) for column in deviations.T]
    lead = (means[0] - means[1]) / (deviations**2).sum(dim=0).sqrt()
    chances = front_probabilities(means, covariances, seed=0)
    assert float(chances[1]) == pytest.approx(1.0 - float(ndtr(lead).prod()), abs=0.06)
    assert float(chances[0]) == pytest.approx(1.0 - float(ndtr(-lead).prod()), abs=0.06)


def test_points_that_vary_together_are_told_apart_by_little() -> None:
    """The draws are joint: of two that are certain to differ by 0.1, the worse has no chance."""
    means = rows((0.8, 1.0), (0.7, 1.0))
    together = torch.full((2, 2), 0.04, dtype=torch.double)
    assert front_probabilities(means, [together, None], seed=0).tolist() == [1.0, 0.0]


def test_what_is_exact_is_not_drawn() -> None:
    """A dearer trial stays only where its noisy value leads; equal trials do not dominate each other."""
    means = rows((0.8, -1.0), (0.8, -2.0), (0.1, 0.0))
    none = torch.zeros(3, 3, dtype=torch.double)
    assert front_probabilities(means, [none, None], seed=0).tolist() == [1.0, 0.0, 1.0]
    equal = rows((0.8, 1.0), (0.8, 1.0))
    assert dominated(equal, by=equal).tolist() == [False, False]


def test_trials_out_of_reach_cost_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of hundreds of hopeless trials none is drawn."""
    drawn: list[int] = []
    means = torch.cat([rows((1.0, 1.0)), torch.zeros(500, 2, dtype=torch.double)])
    eigh = torch.linalg.eigh

    def counted(covariance: torch.Tensor) -> object:
        drawn.append(len(covariance))
        return eigh(covariance)

    monkeypatch.setattr(torch.linalg, "eigh", counted)
    small = torch.eye(501, dtype=torch.double) * 0.01
    chances = front_probabilities(means, [small, small], seed=0)
    assert drawn == [1, 1]
    assert chances[0] == 1.0
    assert not chances[1:].any()


def test_the_joint_posterior_has_the_marginal_one_on_its_diagonal() -> None:
    """And covariance between neighbours."""
    X = torch.linspace(0, 1, 12, dtype=torch.double).unsqueeze(1)
    process = fit_process(X, torch.sin(3 * X.squeeze(1)), variance=None, seed=0)
    at = rows((0.33,), (0.34,))
    means, covariance = process.joint_posterior(at)
    alone = process.posterior(at)
    torch.testing.assert_close(means, alone[0])
    torch.testing.assert_close(covariance.diagonal(), alone[1])
    assert covariance[0, 1] > 0


def truth(x: float) -> float:
    return 0.5 + 0.4 * x * (2.0 - x)


def observed(count: int, *, problem: Problem) -> list[Observation]:
    rng = np.random.default_rng(3)
    found = []
    for place in range(count):
        values = {"x": place / count, "y": float(rng.random())}
        metrics = {
            "score": truth(values["x"]) + NOISE * float(rng.standard_normal()),
            "training_seconds": 1.0 + values["x"],
        }
        found.append(Observation(values, metrics, key=problem.key(values)))
    return found


def believed(problem: Problem, observations: list[Observation], **changes: object) -> Beliefs:
    settings = {
        "succeeded": {item.key for item in observations},
        "compared_with": Compared(observations[0].key, "score"),
        "seed": 0,
        **changes,
    }
    found = believe(problem, observations, **settings)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_means_are_nearer_the_truth_than_measurements() -> None:
    """And the exact objective is none of what is believed."""
    problem = problem_on(NUMBERS, exact_metrics=FREE)
    observations = observed(40, problem=problem)
    found = believed(problem, observations)
    expected = np.array([truth(float(item.parameterization["x"])) for item in observations])
    measured = np.array([item.metrics["score"] for item in observations if item.metrics])
    error = np.abs(np.array(found.means["score"]) - expected).mean()
    assert error < 0.6 * np.abs(measured - expected).mean()
    assert found.keys == tuple(item.key for item in observations)
    assert found.means.keys() == found.deviations.keys() == {"score"}
    assert found.noise == pytest.approx(NOISE, rel=0.5)


def test_members_are_those_whose_means_nothing_dominates() -> None:
    """Each of them has a chance, and the sum of chances is no less than the smallest front."""
    problem = problem_on(NUMBERS, exact_metrics=FREE)
    found = believed(problem, observed(40, problem=problem))
    chances = np.array(found.front_probabilities)
    assert ((chances >= 0) & (chances <= 1)).all()
    assert (chances[list(found.members)] > 0).all()
    assert 0 in found.members  # the cheapest


def test_the_trial_that_others_are_compared_with_differs_from_itself_by_nothing() -> None:
    """And from its neighbour, on which its own value depends, by less than two independent values would."""
    problem = problem_on(NUMBERS, exact_metrics=FREE)
    observations = observed(40, problem=problem)
    found = believed(problem, observations)
    assert found.difference_deviations is not None
    assert found.difference_deviations[0] == pytest.approx(0.0, abs=1e-6)
    apart = np.hypot(found.deviations["score"][0], found.deviations["score"][1])
    assert found.difference_deviations[1] < apart
    alone = believed(problem, observations, compared_with=None)
    assert (alone.difference_deviations, alone.noise) == (None, None)


def test_a_broken_limit_and_a_trial_without_a_result_stay_off_the_front() -> None:
    """The first as measured, whatever the model thinks; the second teaches the model only."""
    limit = OutcomeConstraint.model_validate({"metric": "training_seconds", "op": ">=", "bound": 1.2})
    problem = problem_on(NUMBERS, exact_metrics=FREE, constraints=(limit,))
    observations = observed(40, problem=problem)
    stopped = observations[-1].key
    found = believed(problem, observations, succeeded={item.key for item in observations} - {stopped})
    assert stopped not in found.keys
    seconds = [dict(key)["x"] + 1.0 for key in found.keys]  # type: ignore[call-overload]
    assert all(seconds[row] >= 1.2 for row in found.members)
    broke = [chance for chance, spent in zip(found.front_probabilities, seconds, strict=True) if spent < 1.2]
    assert broke
    assert not any(broke)


def test_a_collapsed_trial_is_believed_to_be_as_bad_as_it_was() -> None:
    """The model does not learn how bad; what is said of the trial does."""
    problem = problem_on(NUMBERS, exact_metrics=FREE)
    observations = observed(40, problem=problem)
    metrics = {"score": -30.0, "training_seconds": 1.0 + 20 / 40}
    observations[20] = Observation(observations[20].parameterization, metrics, key=observations[20].key)
    assert believed(problem, observations).means["score"][20] < -25.0


def test_a_logarithmic_metric_is_told_in_its_unit() -> None:
    """The median, and the deviation to first order."""
    seconds = SECONDS.model_copy(update={"log": True})
    problem = problem_on(NUMBERS, objectives=(seconds,))
    rng = np.random.default_rng(0)
    observations = []
    for place in range(20):
        values = {"x": place / 20, "y": float(rng.random())}
        metrics = {"training_seconds": 10.0 ** (1 + values["x"])}
        observations.append(Observation(values, metrics, key=items(values)))
    found = believed(problem, observations, compared_with=None)
    assert found.means["training_seconds"] == pytest.approx(
        [item.metrics["training_seconds"] for item in observations if item.metrics], rel=0.05
    )
    assert max(found.deviations["training_seconds"]) < 5.0


def test_before_there_is_a_model_nothing_is_believed() -> None:
    """Nor where no trial has succeeded."""
    problem = problem_on(NUMBERS, exact_metrics=FREE)
    observations = observed(4, problem=problem)
    keys = {item.key for item in observations}
    assert believe(problem, observations, succeeded=keys, compared_with=None, seed=0) is None
    many = observed(20, problem=problem)
    assert believe(problem, many, succeeded=set(), compared_with=None, seed=0) is None
