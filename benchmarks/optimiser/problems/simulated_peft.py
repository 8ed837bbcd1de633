"""Simulated AutoPEFT spaces whose exact Pareto front can be listed.

The space is the preset `autopeft` at hidden size 768. The formula is ours and stands for no real
task. With S the share of importance in the active layers (the w_l of an instance sum to 1), u_m(s)
a saturating curve in the size s of module m, and P the trainable parameters:

    u_m(s) = s^a_m / (s^a_m + h_m^a_m)                         diminishing returns of size
    Q = (1 - prod_m (1 - g_m u_m) + j u_serial u_prefix - k u_parallel u_prefix) / its largest value
    error = head_only - gain * Q * S^(b + c (1 - Q)) + o * max(0, log10 P - p)^2

So modules overlap, help and hinder each other; small modules need more layers than large ones; and
the largest configurations overfit mildly. The layers enter only through S (the error falls with S)
and through their number (the cost). For a given number of active layers and given sizes the most
important layers are therefore best, and the front is found among layers x 11^3 configurations and
the head alone. Proof in one line: the exponent is positive and does not depend on S.
"""

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache, partial

import moocore
import numpy as np
from numpy.typing import NDArray

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Objective
from api_schemas.presets import bottleneck_sizes, expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from benchmarks.optimiser.hypervolume import hypervolume
from benchmarks.optimiser.problems.problem import BenchmarkProblem, Columns

HIDDEN_SIZE = 768
HEAD = 2 * HIDDEN_SIZE + 2
"""Weights and biases of the two-class head, which is always trained."""

SERIAL = "peft.serial_adapter.bottleneck_size"
PARALLEL = "peft.parallel_adapter.bottleneck_size"
PREFIX = "peft.prefix_tuning.length"
MODULES = (SERIAL, PARALLEL, PREFIX)

REFERENCE_MARGIN = 0.02
"""The reference error lies this far above the head's alone, so that a free front scores little."""

Values = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Instance:
    """The drawn numbers of one simulated task, named as in the module's formula."""

    layers: int
    importance: Values
    strengths: Values
    half_sizes: Values
    exponents: Values
    joint: float
    clash: float
    depth: float
    depth_of_small: float
    head_only: float
    gain: float
    overfitting: float
    threshold: float


def simulated_peft(layers: int, seed: int, *, held_out: bool = False) -> BenchmarkProblem:
    """Return the simulated task of this depth and seed; the seed draws the task, not noise."""
    instance = draw_instance(layers, seed)
    most = float(parameters_of(np.array([layers]), np.full((1, 3), float(HIDDEN_SIZE)))[0])
    objectives = (
        Objective.model_validate(
            {
                "metric": "error",
                "direction": "minimize",
                "reference": instance.head_only + REFERENCE_MARGIN,
            }
        ),
        Objective.model_validate(
            {"metric": "trainable_parameters", "direction": "minimize", "reference": most}
        ),
    )
    return BenchmarkProblem(
        name=f"simulated-peft-{layers}-{seed}",
        family="simulated-peft",
        search_space=search_space(layers),
        objectives=objectives,
        constraints=(),
        exact_metrics={"trainable_parameters": partial(trainable_parameters, layers=layers)},
        evaluate=partial(_evaluate, instance=instance),
        key=partial(_key, layers=layers),
        best_hypervolume=hypervolume(objectives, exact_front(instance)),
        best_is="the exact front: the most important n layers, for every n and every sizes",
        held_out=held_out,
    )


def search_space(layers: int) -> SearchSpace:
    """Expand the preset `autopeft` for an encoder of width 768."""
    shape = BackboneShape(
        model_type="bert", layers=layers, hidden_size=HIDDEN_SIZE, ffn_size=4 * HIDDEN_SIZE,
        query_size=HIDDEN_SIZE, key_value_size=HIDDEN_SIZE, max_positions=512,
    )  # fmt: skip
    return SearchSpace(parameters=expand_preset(PresetName.AUTOPEFT, shape=shape))


@cache
def draw_instance(layers: int, seed: int) -> Instance:
    """Draw a task: upper layers matter more on average, and which ones matter is up to the seed."""
    rng = np.random.default_rng([layers, seed])
    importance = np.exp(rng.normal(0.0, 0.9, layers)) * np.linspace(0.5, 1.5, layers)
    return Instance(
        layers=layers,
        importance=importance / importance.sum(),
        strengths=rng.uniform((0.45, 0.5, 0.3), (0.75, 0.85, 0.6)),
        half_sizes=np.exp(rng.uniform(np.log((4, 12, 2)), np.log((48, 160, 24)))),
        exponents=rng.uniform(0.7, 1.1, 3),
        joint=rng.uniform(0.05, 0.15),
        clash=rng.uniform(0.0, 0.12),
        depth=rng.uniform(0.35, 0.6),
        depth_of_small=rng.uniform(0.1, 0.3),
        head_only=rng.uniform(0.4, 0.5),
        gain=rng.uniform(0.3, 0.36),
        overfitting=rng.uniform(0.005, 0.015),
        threshold=rng.uniform(5.5, 6.5),
    )


def error(instance: Instance, *, share: Values, active: Values, sizes: Values) -> Values:
    """Compute the error of n configurations from importance shares, layer counts and n x 3 sizes."""
    quality = _quality(instance, sizes) / _best_quality(instance)
    exponent = instance.depth + instance.depth_of_small * (1 - quality)
    excess = np.maximum(0.0, np.log10(parameters_of(active, sizes)) - instance.threshold)
    gained = instance.gain * quality * np.where(share > 0, share, 0.0) ** exponent
    return instance.head_only - gained + instance.overfitting * excess**2


def trainable_parameters(columns: Columns, *, layers: int) -> Values:
    """Count trained scalars for n configurations, as `api_schemas.peft.counts` does."""
    active = sum(columns[f"peft.active_layers.{layer}"].astype(np.float64) for layer in range(layers))
    sizes = np.stack([columns[name].astype(np.float64) for name in MODULES], axis=1)
    return parameters_of(np.asarray(active), sizes)


def parameters_of(active: Values, sizes: Values) -> Values:
    """Count trained scalars from n layer counts and n x 3 sizes (serial, parallel, prefix)."""
    bottlenecks = ((2 * HIDDEN_SIZE + 1) * sizes[:, :2] + HIDDEN_SIZE) * (sizes[:, :2] > 0)
    return np.asarray(active * (bottlenecks.sum(axis=1) + 2 * HIDDEN_SIZE * sizes[:, 2]) + HEAD)


def exact_front(instance: Instance) -> Values:
    """List the n x 2 values (error, trainable parameters) of the exact Pareto front."""
    grid = _size_grid()
    best_shares = np.concatenate([[0.0], np.cumsum(np.sort(instance.importance)[::-1])])
    active = np.repeat(np.arange(instance.layers + 1, dtype=np.float64), len(grid))
    sizes = np.tile(grid, (instance.layers + 1, 1))
    share = np.repeat(best_shares, len(grid))
    values = np.stack(
        [error(instance, share=share, active=active, sizes=sizes), parameters_of(active, sizes)], axis=1
    )
    return np.unique(values[moocore.is_nondominated(values)], axis=0)


def _evaluate(parameterization: Parameterization, *, instance: Instance) -> dict[str, float]:
    on = np.array([parameterization[f"peft.active_layers.{layer}"] for layer in range(instance.layers)])
    sizes = np.array([[float(parameterization[name]) for name in MODULES]])
    share, active = np.array([instance.importance @ on]), np.array([float(on.sum())])
    return {
        "error": float(error(instance, share=share, active=active, sizes=sizes)[0]),
        "trainable_parameters": float(parameters_of(active, sizes)[0]),
    }


def _key(parameterization: Parameterization, *, layers: int) -> Hashable:
    sizes = tuple(parameterization[name] for name in MODULES)
    on = tuple(bool(parameterization[f"peft.active_layers.{layer}"]) for layer in range(layers))
    return (sizes, on) if any(sizes) and any(on) else "head only"


def _quality(instance: Instance, sizes: Values) -> Values:
    powers = sizes**instance.exponents
    used = powers / (powers + instance.half_sizes**instance.exponents)
    overlap = 1 - np.prod(1 - instance.strengths * used, axis=1)
    return np.asarray(
        overlap + instance.joint * used[:, 0] * used[:, 2] - instance.clash * used[:, 1] * used[:, 2]
    )


@cache
def _best_quality(instance: Instance) -> float:
    return float(_quality(instance, _size_grid()).max())


def _size_grid() -> Values:
    choices = np.array(bottleneck_sizes(HIDDEN_SIZE), dtype=np.float64)
    return np.stack(np.meshgrid(choices, choices, choices, indexing="ij"), axis=-1).reshape(-1, 3)
