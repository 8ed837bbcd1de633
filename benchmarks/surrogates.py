"""Which surrogate predicts best from what a search has seen: `python -m benchmarks.surrogates`.

Each is fitted to the first trials of searches by `suggest` and judged on configurations that a search
would ask about: mutations of what was seen, and draws from sparse to dense. On the recorded table of
real trials those are looked up. Prints, and appends as JSON lines, root mean squared error and mean log
density of the measured metric (higher is better), and the seconds of a fit.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch
from botorch.exceptions.warnings import BotorchWarning
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.kernels.categorical import CategoricalKernel
from botorch.models.map_saas import AdditiveMapSaasSingleTaskGP, EnsembleMapSaasSingleTaskGP
from botorch.models.transforms.outcome import Standardize
from botorch.models.utils.gpytorch_modules import get_covar_module_with_dim_scaled_prior
from gpytorch.kernels import Kernel, ScaleKernel
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior
from jaxtyping import Float64
from torch import Tensor

from benchmarks import json_lines
from benchmarks.optimiser.problems.catalogue import problem_named
from benchmarks.optimiser.problems.problem import BenchmarkProblem, engine_problem
from service.optimization.candidates import density_codes, mutation_codes, switches
from service.optimization.encoded_problem import features
from service.optimization.gaussian_process import fit_process
from service.optimization.grid import Grid
from service.optimization.problem import Observation
from service.optimization.suggest import suggest

PROBLEMS = ("simulated-peft-12-0", "simulated-peft-24-1", "table-rotten-tomatoes")
RESULTS = Path(__file__).parent / "results" / "surrogates.jsonl"
JUDGED = 300

Rows = Float64[Tensor, "n d"]
Outcomes = Float64[Tensor, " n"]
Beliefs = tuple[Outcomes, Outcomes]


@dataclass(frozen=True)
class Columns:
    """Which columns of a row are switches, and which are not; the share of switches comes last."""

    switches: tuple[int, ...]
    others: tuple[int, ...]

    @property
    def plain(self) -> tuple[int, ...]:
        """Every column but the share."""
        return tuple(sorted((*self.switches, *self.others)))


Predictor = Callable[[Rows, Outcomes, Rows, Columns], Beliefs]
"""Fit to rows and outcomes, then give mean and variance of an observation at further rows."""


def shipped(X: Rows, y: Outcomes, Z: Rows, _: Columns) -> Beliefs:
    """Fit Paretune's own process, with the share of switches."""
    process = fit_process(X, y, variance=None, seed=0)
    mean, variance = process.posterior(Z)
    return mean, variance + process.noise_variance


def without_share(X: Rows, y: Outcomes, Z: Rows, columns: Columns) -> Beliefs:
    """Fit Paretune's own process to the parameters alone."""
    return shipped(X[:, columns.plain], y, Z[:, columns.plain], columns)


def with_kernel(make: Callable[[Columns], Kernel]) -> Predictor:
    """Fit a BoTorch process with a kernel over the parameters."""

    def predict(X: Rows, y: Outcomes, Z: Rows, columns: Columns) -> Beliefs:
        model = SingleTaskGP(
            X, y.unsqueeze(1), covar_module=make(columns), outcome_transform=Standardize(m=1)
        )
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return beliefs(model, Z)

    return predict


def map_saas(model_class: type) -> Predictor:
    """Fit one of BoTorch's sparse axis-aligned processes by maximum a posteriori."""

    def predict(X: Rows, y: Outcomes, Z: Rows, columns: Columns) -> Beliefs:
        model = model_class(X[:, columns.plain], y.unsqueeze(1))
        fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return beliefs(model, Z[:, columns.plain])

    return predict


def beliefs(model: SingleTaskGP, Z: Rows) -> Beliefs:
    """Return the predictive mean and variance; of an ensemble, those of the mixture."""
    with torch.no_grad():
        posterior = model.posterior(Z.unsqueeze(1), observation_noise=True)
        mean, variance = posterior.mean, posterior.variance
    if mean.dim() == 4:
        mixed = mean.mean(dim=1)
        variance = (variance + mean**2).mean(dim=1) - mixed**2
        mean = mixed
    return mean.reshape(-1), variance.reshape(-1)


def squared_exponential(dims: Sequence[int]) -> Kernel:
    """Make BoTorch's default kernel over some columns."""
    return get_covar_module_with_dim_scaled_prior(ard_num_dims=len(dims), active_dims=dims)


def hamming(columns: Columns) -> Kernel:
    """Sizes by distance times layers by how many differ, with a weight for each."""
    layers = CategoricalKernel(ard_num_dims=len(columns.switches), active_dims=columns.switches)
    return squared_exponential(columns.others) * layers


def additive(columns: Columns) -> Kernel:
    """What sizes do, plus what layers do, plus both together."""
    sizes, layers = squared_exponential(columns.others), squared_exponential(columns.switches)
    both = squared_exponential(columns.others) * squared_exponential(columns.switches)
    return scaled(sizes) + scaled(layers) + scaled(both)


def matern(columns: Columns) -> Kernel:
    """Matern 5/2 with a lengthscale for each parameter."""
    return get_covar_module_with_dim_scaled_prior(
        ard_num_dims=len(columns.plain), active_dims=columns.plain, use_rbf_kernel=False
    )


def scaled(kernel: Kernel) -> Kernel:
    """Return a part of a sum a share of its own, with BoTorch's former default prior."""
    return ScaleKernel(kernel, outputscale_prior=GammaPrior(2.0, 0.15))


PREDICTORS: dict[str, Predictor] = {
    "shipped": shipped,
    "without the share": without_share,
    "Matern 5/2": with_kernel(matern),
    "Hamming on layers": with_kernel(hamming),
    "additive": with_kernel(additive),
    "MAP-SAAS, ensemble": map_saas(EnsembleMapSaasSingleTaskGP),
    "MAP-SAAS, additive": map_saas(AdditiveMapSaasSingleTaskGP),
}


def main() -> None:
    """Fit every surrogate to every search, and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--problems", nargs="+", default=PROBLEMS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seen", type=int, nargs="+", default=[20, 40])
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", BotorchWarning)
    for name in arguments.problems:
        found = [
            line
            for seed in range(arguments.seeds)
            for line in compare(problem_named(name), seen=arguments.seen, seed=seed)
        ]
        for line in found:
            json_lines.append(RESULTS, line)
        for seen in arguments.seen:
            report(name, seen, [line for line in found if line["seen"] == seen])


def compare(problem: BenchmarkProblem, *, seen: Sequence[int], seed: int) -> list[dict[str, object]]:
    """Search once, and judge every surrogate on what it saw at each moment."""
    grid = Grid(engine_problem(problem).search_space)
    codes = grid.codes(searched(problem, trials=max(seen), seed=seed))
    rng = np.random.default_rng(seed)
    near = mutation_codes(grid, codes[rng.integers(len(codes), size=JUDGED // 2)], rng=rng)
    asked = np.concatenate([near, density_codes(grid, JUDGED // 2, rng=rng)])
    X, Z = rows(grid, codes), rows(grid, asked)
    y, truth = outcomes(problem, grid, codes), outcomes(problem, grid, asked)
    on = tuple(grid.columns[place] for place in switches(grid))
    columns = Columns(on, tuple(column for column in range(grid.dimensions) if column not in on))
    return [
        {"problem": problem.name, "seed": seed, "seen": count, "surrogate": name}
        | judged(predictor, X[:count], y[:count], Z, truth, columns=columns)
        for count in seen
        for name, predictor in PREDICTORS.items()
    ]


def judged(
    predictor: Predictor, X: Rows, y: Outcomes, Z: Rows, truth: Outcomes, *, columns: Columns
) -> dict[str, float]:
    """Fit, predict, and compare with the truth."""
    torch.manual_seed(0)
    started = time.perf_counter()
    mean, variance = predictor(X, y, Z, columns)
    seconds = time.perf_counter() - started
    density = torch.distributions.Normal(mean, variance.sqrt()).log_prob(truth)
    return {
        "rmse": float((mean - truth).square().mean().sqrt()),
        "log_density": float(density.mean()),
        "seconds": seconds,
    }


def searched(problem: BenchmarkProblem, *, trials: int, seed: int) -> list[dict[str, object]]:
    """Return the parameterizations of a search, in order."""
    asked, seen = engine_problem(problem), list[Observation]()
    while len(seen) < trials:
        (suggestion,) = suggest(asked, seen, pending=[], count=1, seed=seed)
        seen.append(Observation(suggestion.parameterization, problem.evaluate(suggestion.parameterization)))
    return [dict(observation.parameterization) for observation in seen]


def rows(grid: Grid, codes: np.ndarray) -> Rows:
    """Encode configurations, with the share of switches last."""
    return features(grid, codes)


def outcomes(problem: BenchmarkProblem, grid: Grid, codes: np.ndarray) -> Outcomes:
    """Return the first objective of each configuration."""
    metric = problem.objectives[0].metric
    found = [problem.evaluate(values)[metric] for values in grid.parameterizations(codes)]
    return torch.tensor(found, dtype=torch.double)


def report(name: str, seen: int, lines: Sequence[dict[str, object]]) -> None:
    """Print the means over seeds."""
    print(f"{name}, after {seen} trials")
    for surrogate in PREDICTORS:
        own = [line for line in lines if line["surrogate"] == surrogate]
        rmse, density, seconds = (
            fmean(float(str(line[key])) for line in own) for key in ("rmse", "log_density", "seconds")
        )
        print(f"  {surrogate:<20} rmse {rmse:.4f}  log density {density:6.2f}  {seconds:.2f} s", flush=True)


if __name__ == "__main__":
    main()
