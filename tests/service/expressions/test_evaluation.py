"""Expressions have the values that arithmetic gives them."""

import math

import numpy as np
import pytest

from api_schemas.search_space import SearchSpace
from service.expressions.evaluation import Rows, evaluate
from service.expressions.parsing import parse
from service.optimization.candidates import density_codes
from service.optimization.grid import Candidates, Grid

SPACE = SearchSpace.model_validate(
    {
        "parameters": [
            {"type": "int", "name": "width", "low": 1, "high": 64, "log": True},
            {"type": "float", "name": "rate", "low": 0.0, "high": 1.0},
            {"type": "bool", "name": "gated"},
            {"type": "ordinal", "name": "rank", "choices": [0, 2, 4.5]},
            {"type": "categorical", "name": "activation", "choices": ["relu", "gelu", 3, True]},
            {"type": "categorical", "name": "heads", "choices": [4, 1, 2]},
            {
                "type": "int",
                "name": "depth",
                "low": 1,
                "high": 9,
                "when": {"parameter": "gated", "in": [True]},
            },
        ]
    }
)

ROW = {"width": 8, "rate": 0.5, "gated": True, "rank": 4.5, "activation": "gelu", "heads": 4, "depth": 3}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 - 4 / 2", 5.0),
        ("2 - 3 - 4", -5.0),
        ("8 / 2 / 2", 2.0),
        ("-2 ** 2", -4.0),
        ("2 ** -1", 0.5),
        ("2 ** 3 ** 2", 512.0),
        ("(1 + 2) * -3", -9.0),
        ("min(3, 1, 2) + max(3, 1, 2)", 4.0),
        ("log(exp(2)) + sqrt(9) + abs(-1)", 6.0),
        ("1e3 + .5", 1000.5),
        ("width ** 2 * rate", 32.0),
        ("gated * rank", 4.5),
        ("heads", 4.0),
        ('activation == "gelu"', 1.0),
        ('"relu" == activation', 0.0),
        ('activation != "relu"', 1.0),
        ("gated == true", 1.0),
        ("depth != 3", 0.0),
        ("activation == 3", 0.0),
        ("(width >= 8) + (width < 8)", 1.0),
        ('{"relu": 1, "gelu": width * 2, 3: 0, true: 0}[activation]', 16.0),
        ("{0: 1, 2: 5, 4.5: 7}[rank]", 7.0),
        ("true + false", 1.0),
        ("active(depth) + default(depth, 7)", 4.0),
    ],
)
def test_arithmetic(text: str, value: float) -> None:
    """Ranks of operators as in mathematics and in Python."""
    assert evaluate(parse(text), Rows([ROW])).tolist() == [pytest.approx(value)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("depth", 0.0), ("active(depth)", 0.0), ("default(depth, rate * 2)", 1.0), ("{1: 5, 2: 6}[depth]", 0.0)],
)
def test_an_inactive_parameter_reads_as_zero(text: str, value: float) -> None:
    """Unless it has a default; a table gives 0 for it, too."""
    inactive = {name: item for name, item in ROW.items() if name != "depth"} | {"gated": False}
    assert evaluate(parse(text), Rows([inactive])).tolist() == [value]


def test_one_is_not_true_nor_a_text() -> None:
    """Choices are compared as the search space tells them apart."""
    row = {**ROW, "activation": True}
    assert evaluate(parse("activation == 3"), Rows([{**ROW, "activation": 3}])).tolist() == [1.0]
    assert evaluate(parse('activation == "gelu"'), Rows([row])).tolist() == [0.0]
    assert evaluate(parse('{"relu": 1, "gelu": 2, 3: 3, true: 4}[activation]'), Rows([row])).tolist() == [4.0]


def test_what_has_no_value_is_not_finite() -> None:
    """Without a warning."""
    values = [
        evaluate(parse(text), Rows([ROW]))[0]
        for text in ("1 / (rate - rate)", "log(0)", "sqrt(-1)", "9 ** 999")
    ]
    assert not np.isfinite(values).any()
    assert math.isnan(values[2])


def test_candidates_of_the_optimiser_give_what_their_parameterizations_give() -> None:
    """Codes and rows are two ways to write the same."""
    grid = Grid(SPACE)
    codes = density_codes(grid, 200, rng=np.random.default_rng(0))
    for text in (
        "width * rate + gated * rank * heads",
        '{"relu": 1, "gelu": 2, 3: 3, true: 4}[activation] + default(depth, 2.5) * active(depth)',
        '(activation == "gelu") + 10 * (gated == true) + 100 * (depth == 3) + 1000 * (rank != 4.5)',
    ):
        by_codes = evaluate(parse(text), Candidates(grid, codes))
        by_rows = evaluate(parse(text), Rows(grid.parameterizations(codes)))
        assert by_codes.tolist() == pytest.approx(by_rows.tolist())
