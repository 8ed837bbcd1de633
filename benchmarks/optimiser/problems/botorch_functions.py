"""BoTorch's multi-objective test functions, with BoTorch's own reference points and best hypervolumes.

Nothing is known in advance here. Every objective is minimised, as BoTorch states the functions; a
constraint's slack is a metric that must not be negative.
"""

from functools import partial

import torch
from botorch.test_functions.multi_objective import (
    C2DTLZ2,
    DTLZ2,
    ZDT1,
    ZDT2,
    ZDT3,
    BraninCurrin,
    DiscBrake,
    MultiObjectiveTestProblem,
    Penicillin,
    VehicleSafety,
)

from api_schemas.objectives import Objective, OutcomeConstraint
from api_schemas.search_space import FloatParameter, Parameterization, SearchSpace
from benchmarks.optimiser.problems.problem import BenchmarkProblem, by_value

FUNCTIONS = {
    "branin-currin": BraninCurrin,
    "dtlz2": partial(DTLZ2, dim=6, num_objectives=2),
    "zdt1": partial(ZDT1, dim=6, num_objectives=2),
    "zdt2": partial(ZDT2, dim=6, num_objectives=2),
    "zdt3": partial(ZDT3, dim=6, num_objectives=2),
    "vehicle-safety": VehicleSafety,
    "penicillin": Penicillin,
    "c2-dtlz2": partial(C2DTLZ2, dim=4, num_objectives=2),
    "disc-brake": DiscBrake,
}

DISC_BRAKE_HYPERVOLUME = 11.214064482630379
"""BoTorch gives none: the union of three runs of pymoo's NSGA-II, population 300, 300 generations each."""


def botorch_function(name: str) -> BenchmarkProblem:
    """State one of BoTorch's test functions as a benchmark problem."""
    function = FUNCTIONS[name]()
    slacks = int(getattr(function, "num_constraints", 0))
    return BenchmarkProblem(
        name=name,
        family="botorch",
        search_space=SearchSpace(
            parameters=tuple(
                FloatParameter(name=f"x{number}", low=low, high=high)
                for number, (low, high) in enumerate(function.bounds.T.tolist())
            )
        ),
        objectives=tuple(
            Objective.model_validate(
                {"metric": f"objective_{number}", "direction": "minimize", "reference": reference}
            )
            for number, reference in enumerate(function.ref_point.tolist())
        ),
        constraints=tuple(
            OutcomeConstraint.model_validate({"metric": f"slack_{number}", "op": ">=", "bound": 0.0})
            for number in range(slacks)
        ),
        exact_metrics={},
        evaluate=partial(_evaluate, function=function, slacks=slacks),
        key=by_value,
        best_hypervolume=DISC_BRAKE_HYPERVOLUME if name == "disc-brake" else float(function.max_hv),
        best_is="three long runs of NSGA-II" if name == "disc-brake" else "BoTorch's max_hv",
    )


def _evaluate(
    parameterization: Parameterization, *, function: MultiObjectiveTestProblem, slacks: int
) -> dict[str, float]:
    X = torch.tensor([[float(value) for value in parameterization.values()]], dtype=torch.double)
    values = function(X)[0].tolist()
    metrics = {f"objective_{number}": value for number, value in enumerate(values)}
    if slacks:
        slack = function.evaluate_slack(X)[0].tolist()
        metrics |= {f"slack_{number}": value for number, value in enumerate(slack)}
    return metrics
