"""Problems with known answers, for the optimiser's tests and benchmarks."""

import math
from collections.abc import Callable, Sequence

from api_schemas.backbones import BackboneShape
from api_schemas.objectives import Objective
from api_schemas.peft.counts import trainable_parameters
from api_schemas.presets import expand_preset
from api_schemas.search_space import Parameterization, PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.optimization.grid import Candidates
from service.optimization.problem import Observation, Problem, Suggestion
from service.suggestions.exact_metrics import exact_metrics

SCORE = Objective.model_validate({"metric": "score", "direction": "maximize"})
PARAMETERS = Objective.model_validate({"metric": "trainable_parameters", "direction": "minimize"})
NUMBERS: list[dict[str, object]] = [
    {"type": "float", "name": "x", "low": 0.0, "high": 1.0},
    {"type": "float", "name": "y", "low": 0.0, "high": 1.0},
]
SECONDS = Objective.model_validate({"metric": "training_seconds", "direction": "minimize"})


def only(suggestions: Sequence[Suggestion]) -> Suggestion:
    (suggestion,) = suggestions
    return suggestion


def items(parameterization: Parameterization) -> tuple[tuple[str, object], ...]:
    return tuple(sorted(parameterization.items()))


def problem_on(parameters: Sequence[dict[str, object]], **changes: object) -> Problem:
    """A problem on the given parameters; nothing known, score to maximise and seconds to minimise."""
    settings: dict[str, object] = {
        "search_space": SearchSpace.model_validate({"parameters": list(parameters)}),
        "objectives": (SCORE, SECONDS),
        "constraints": (),
        "exact_metrics": {},
        "key": items,
        "reference_point": None,
        "starting_points": (),
        **changes,
    }
    return Problem(**settings)  # type: ignore[arg-type]


def bert_shape(layers: int, *, hidden_size: int) -> BackboneShape:
    return BackboneShape(
        model_type="bert", layers=layers, hidden_size=hidden_size, ffn_size=4 * hidden_size,
        query_size=hidden_size, key_value_size=hidden_size, max_positions=512,
    )  # fmt: skip


def autopeft_problem(layers: int, *, hidden_size: int = 768) -> Problem:
    """The paper's space on an encoder of this depth, with the real parameter count as known cost."""
    shape = bert_shape(layers, hidden_size=hidden_size)
    base = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True] * layers}}
    )

    sizes = ("serial_adapter.bottleneck_size", "parallel_adapter.bottleneck_size", "prefix_tuning.length")
    largest: Parameterization = {f"peft.active_layers.{layer}": True for layer in range(layers)}
    largest |= {f"peft.{size}": hidden_size for size in sizes}
    return Problem(
        search_space=SearchSpace(parameters=expand_preset(PresetName.AUTOPEFT, shape=shape)),
        objectives=(SCORE, PARAMETERS),
        constraints=(),
        exact_metrics=exact_metrics(base, shape=shape, classes=2),
        key=lambda values: canonical(patch(base, values)).peft,
        reference_point=(
            0.5,
            1.1 * trainable_parameters(canonical(patch(base, largest)), shape=shape, classes=2),
        ),
        starting_points=(),
    )


def simulated_score(parameterization: Parameterization, layers: int) -> float:
    """A score with important upper layers, diminishing returns of size, and overfitting of large ones."""
    on = [layer for layer in range(layers) if parameterization[f"peft.active_layers.{layer}"]]
    importance = sum((1 + layer) ** 1.5 for layer in on) / sum((1 + layer) ** 1.5 for layer in range(layers))
    sizes = {
        "peft.serial_adapter.bottleneck_size": 0.10,
        "peft.parallel_adapter.bottleneck_size": 0.12,
        "peft.prefix_tuning.length": 0.04,
    }
    gain = sum(weight * (1 - math.exp(-float(parameterization[name]) / 24)) for name, weight in sizes.items())
    total = sum(float(parameterization[name]) for name in sizes)
    return 0.7 + gain * importance**0.5 - 0.03 * (total * len(on) / (768 * layers)) ** 0.5


def observe(
    problem: Problem, parameterization: Parameterization, score: Callable[[Parameterization], float]
) -> Observation:
    """What a trial of the simulation would report: the score, and every known metric."""
    alone = candidates(problem, [parameterization])
    known = {metric: float(function(alone)[0]) for metric, function in problem.exact_metrics.items()}
    return Observation(parameterization, {"score": score(parameterization), **known})


def candidates(problem: Problem, parameterizations: Sequence[Parameterization]) -> Candidates:
    """The same as a table."""
    return Candidates(problem.grid, problem.grid.codes(parameterizations))
