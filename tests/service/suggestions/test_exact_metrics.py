"""Counting many candidates at once gives the numbers of counting one by one."""

import numpy as np
import pytest
from sqlalchemy.orm import Session

from api_schemas.backbones import BackboneShape, WeightCounts
from api_schemas.exact_metrics import exact_metrics
from api_schemas.objectives import KNOWN_METRICS, Metric
from api_schemas.presets import expand_preset
from api_schemas.search_space import PresetName, SearchSpace
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.optimization.candidate_filter import CandidateFilter
from service.optimization.candidates import density_codes
from service.optimization.grid import Candidates, Grid
from service.studies.layers import with_layers
from service.suggestions import exact_metrics as by_columns
from service.suggestions.study_suggestions import read_request
from tests.paretune.client.studies import custom_study
from tests.service.trials.test_lifecycle import create

SHAPE = BackboneShape(
    model_type="bert", layers=5, hidden_size=48, ffn_size=96, query_size=48, key_value_size=24,
    max_positions=512, weights=WeightCounts(below=1000, each_layer=9000, above=7, each_ffn_unit=90),
)  # fmt: skip
VARIES = (Metric.TRAINABLE_PARAMETERS, Metric.ADAPTER_BYTES)
BASES = {
    "nothing": {},
    "a compacter and a shift": {
        "compacter": {"bottleneck_size": 8, "division": 2}, "scale_shift": {"on": True},
    },
    "every second layer": {"active_layers": [True, False, True, False, True], "lora": {"rank": 3}},
}  # fmt: skip


@pytest.mark.parametrize("peft", BASES.values(), ids=BASES)
@pytest.mark.parametrize("preset", list(PresetName))
def test_columns_count_as_the_contract_does(preset: PresetName, peft: dict[str, object]) -> None:
    """Every preset, over bases that carry something of their own."""
    space = SearchSpace(parameters=expand_preset(preset, shape=SHAPE))
    base = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}, "peft": peft})
    base = with_layers(base, SHAPE, search_space=space)
    grid = Grid(space)
    codes = density_codes(grid, 60, rng=np.random.default_rng(0))
    by_column = by_columns.exact_metrics(base, shape=SHAPE, classes=3)
    one_by_one = [
        exact_metrics(canonical(patch(base, values)), shape=SHAPE, classes=3)
        for values in grid.parameterizations(codes)
    ]
    for metric in KNOWN_METRICS & set().union(*one_by_one):
        counted = by_column[metric](Candidates(grid, codes)).tolist()
        # Where the method is searched, some have no count of operations.
        known = [
            (column, one[metric]) for column, one in zip(counted, one_by_one, strict=True) if metric in one
        ]
        assert [column for column, _ in known] == [one for _, one in known]
        assert metric not in VARIES or len(set(known)) >= SHAPE.layers


def test_an_expression_is_an_exact_metric_of_its_study(session: Session) -> None:
    """For many candidates at once; where it has no value, the optimiser reads not a number."""
    objectives = [
        {"metric": "gain", "direction": "maximize"},
        {"metric": "cost", "direction": "minimize", "log": True, "known": "x - 0.5 + 1 / (1 - x) * 0 + 0.5"},
    ]
    space = {"parameters": [{"type": "float", "name": "x", "low": 0.25, "high": 0.75}]}
    limits = [{"metric": "margin", "op": "<=", "bound": 3, "known": "1 / (x - 0.5)"}]
    study = create(session, custom_study(objectives=objectives, constraints=limits, search_space=space))
    asked = read_request(session, study.id)
    assert asked is not None
    problem = asked.problem
    candidates = Candidates(problem.grid, np.array([[0.0], [0.5], [1.0]]))
    assert {name: known(candidates).tolist() for name, known in problem.exact_metrics.items()} == {
        "cost": pytest.approx([0.25, 0.5, 0.75]),
        "margin": pytest.approx([-4.0, np.nan, 4.0], nan_ok=True),
    }
    assert CandidateFilter(problem).within_limits(candidates.codes).tolist() == [True, False, False]
