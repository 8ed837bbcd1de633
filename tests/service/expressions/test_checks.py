"""An expression that a search space cannot answer is found before anything is stored."""

import pytest

from service.expressions.checks import faults, is_logarithmic, is_metric, undefined_at
from service.expressions.parsing import parse
from tests.service.expressions.test_evaluation import SPACE


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("1 + widht", 5, "no parameter 'widht'. Did you mean 'width'?"),
        ("active(dept)", 1, "Did you mean 'depth'?"),
        ("2 * activation", 5, "'activation' is no number; compare it"),
        ("default(activation, 1)", 1, "'activation' is no number"),
        ('1 + "relu"', 5, "the text 'relu' is no number"),
        ('activation == "swish"', 15, "'swish' is not a value of the parameter 'activation'"),
        ("gated == 1 + (width == true)", 24, "true is not a value of the parameter 'width'"),
        ('{"relu": 1, "gelu": 2}[activation]', 1, "the table lacks choices of 'activation': 3, true"),
        ("{4: 1, 1: 2, 2: 3, 8: 1}[heads]", 20, "8 is not a value of the parameter 'heads'"),
        ("{4: 1, 1: 2, 2: 3, 1.0: 1}[heads]", 20, "has 1.0 twice"),
        ("{0.5: 1}[rate]", 1, "'rate' has too many values"),
        ("{1: 1}[depth]", 1, "needs every value of 'depth'"),
    ],
)
def test_a_fault_is_found_at_its_place(text: str, at: int, said: str) -> None:
    """Names, kinds, and choices."""
    found = list(faults(parse(text), SPACE))
    assert [fault.at for fault in found] == [at]
    assert said in found[0].sentence


@pytest.mark.parametrize(
    "text", ["width * rate + gated", 'activation == "relu"', "{4: 1, 1: 2, 2: 3}[heads]", "7"]
)
def test_what_can_be_computed_has_no_fault(text: str) -> None:
    """A constant included."""
    assert not list(faults(parse(text), SPACE))
    assert undefined_at(parse(text), SPACE, fits=is_metric) is None


def test_a_corner_without_a_value_is_found() -> None:
    """Zero counts as a corner, and a parameter that others switch off."""
    assert undefined_at(parse("1 / rate"), SPACE, fits=is_metric) == {"rate": 0.0}
    assert undefined_at(parse("log(depth)"), SPACE, fits=is_metric) == {"gated": False}
    assert undefined_at(parse("active(depth) * log(default(depth, 1))"), SPACE, fits=is_metric) is None
    assert undefined_at(parse("10 ** width"), SPACE, fits=is_metric) == {"width": 64}


def test_a_logarithmic_metric_is_greater_than_zero() -> None:
    """At every corner."""
    assert undefined_at(parse("rate"), SPACE, fits=is_logarithmic) == {"rate": 0.0}
    assert undefined_at(parse("rate + 1"), SPACE, fits=is_logarithmic) is None
