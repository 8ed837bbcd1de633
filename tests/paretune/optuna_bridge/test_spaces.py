"""Distributions and parameters."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
)
from paretune.errors import BridgeError
from paretune.optuna_bridge.names import metric_names, parameter_names
from paretune.optuna_bridge.spaces import distribution_of, parameter_of, read_space, value_of
from tests.paretune.optuna_bridge.past_studies import past_trial


@pytest.mark.parametrize(
    ("distributions", "why"),
    [
        ([FloatDistribution(0, 1), IntDistribution(0, 1)], "different distribution kind"),
        ([IntDistribution(1, 9, log=True), IntDistribution(1, 9)], "different log configuration"),
        ([CategoricalDistribution([1, 2]), CategoricalDistribution([1, 3])], "dynamic value space"),
        ([CategoricalDistribution([None, "None"])], "must not repeat"),
        ([CategoricalDistribution([float("nan"), 1.0])], "cannot be searched here"),
        ([IntDistribution(0, 2**60)], "cannot be searched here"),
    ],
)
def test_what_cannot_be_said_is_refused(distributions: list[BaseDistribution], why: str) -> None:
    """In a sentence that names the parameter."""
    with pytest.raises(BridgeError, match=why) as refused:
        parameter_of("x", distributions)
    assert "'x'" in str(refused.value)


def test_names_that_are_too_long_are_refused() -> None:
    """With the limit, and what to do."""
    name = "a" * 201
    trial = past_trial([0.0], x=0.5, distributions={name: FloatDistribution(0, 1)}, **{name: 0.5})
    with pytest.raises(BridgeError, match="may have 200 characters, and 'aaa"):
        read_space([trial])


@pytest.mark.parametrize(
    ("names", "here"),
    [
        (["学", "习"], ["p_", "p_2"]),
        (["a b", "a\nb", "a_b", "a/b"], ["a_b_2", "a_b_3", "a_b", "a_b_4"]),
        (["学习率", "学习率2", "lr"], ["p_", "p_2", "lr"]),
        (["half \ud800", "half \ud801"], ["half_", "half_2"]),
        (["é" + "x" * 50, "è" + "x" * 50], ["p_" + "x" * 50, "p_" + "x" * 50 + "_2"]),
    ],
)
def test_names_stay_distinct(names: list[str], here: list[str]) -> None:
    """A name that can stay does; the others are numbered in the order that they come in."""
    found = parameter_names(names)
    assert list(found.values()) == here
    assert len(set(metric_names(names).values())) == len(names)


def test_nothing_to_search_is_refused() -> None:
    """A constant is no parameter."""
    trial = past_trial([0.0], distributions={"c": IntDistribution(3, 3)}, c=3)
    with pytest.raises(BridgeError, match="nothing to search"):
        read_space([trial])


@pytest.mark.parametrize(
    ("distributions", "parameter"),
    [
        ([FloatDistribution(1, 2, log=True)], FloatParameter(name="x", low=1, high=2, log=True)),
        ([FloatDistribution(0, 1), FloatDistribution(-1, 0.5)], FloatParameter(name="x", low=-1, high=1)),
        ([FloatDistribution(0, 0.3, step=0.1)], OrdinalParameter(name="x", choices=(0.0, 0.1, 0.2, 0.3))),
        (
            [FloatDistribution(0, 1, step=0.1), FloatDistribution(0, 2)],
            FloatParameter(name="x", low=0, high=2),
        ),
        ([FloatDistribution(0, 1, step=1e-4)], FloatParameter(name="x", low=0, high=1)),
        ([IntDistribution(1, 64, log=True)], IntParameter(name="x", low=1, high=64, log=True)),
        ([IntDistribution(2, 8, step=3)], OrdinalParameter(name="x", choices=(2, 5, 8))),
        ([CategoricalDistribution([True, False])], BoolParameter(name="x")),
        ([CategoricalDistribution([None, 1, 0.5])], CategoricalParameter(name="x", choices=("None", 1, 0.5))),
    ],
)
def test_each_distribution_has_its_parameter(
    distributions: list[BaseDistribution], parameter: Parameter
) -> None:
    """Grids are ordinals, nothing is a text, bounds that move are the widest."""
    assert parameter_of("x", distributions) == parameter


def test_the_space_says_what_it_changed() -> None:
    """Constants, names, nothing, lost steps and conditions."""
    fine, maybe = FloatDistribution(0, 1, step=1e-4), CategoricalDistribution([None, "on"])
    found = {"a rate": fine, "maybe": maybe, "c": IntDistribution(3, 3)}
    with_x = past_trial([0.0], distributions=found, maybe="on", x=0.5, c=3, **{"a rate": 0.5})
    without = past_trial([0.0], distributions=found, maybe=None, c=3, **{"a rate": 0.25})
    read = read_space([with_x, without])
    assert [parameter.name for parameter in read.search_space.parameters] == ["maybe", "a_rate", "x"]
    assert read.notes == (
        "'c' has one value only and is left out.",
        "The choice None of 'maybe' is the text 'None'.",
        "'a rate' is called 'a_rate'.",
        "'a rate' is searched without its step: its grid has more than 1000 points.",
        "'x' is searched where 'maybe' is one of on.",
    )


bounds = st.tuples(st.integers(1, 10_000), st.integers(1, 500))


@st.composite
def distribution(draw: st.DrawFn) -> BaseDistribution:
    low, width = draw(bounds)
    kind = draw(st.sampled_from(["float", "log", "grid", "int", "steps", "choice"]))
    if kind == "grid":
        return FloatDistribution(low / 100, (low + width) / 100, step=0.01)
    if kind == "steps":
        return IntDistribution(low, low + 3 * width, step=3)
    if kind == "choice":
        return CategoricalDistribution("abcdefgh"[: 2 + width % 7])
    if kind == "int":
        return IntDistribution(low, low + width, log=draw(st.booleans()))
    return FloatDistribution(low / 100, low / 100 + width, log=kind == "log")


@given(distribution=distribution(), seed=st.integers(0, 2**32))
def test_every_value_of_a_distribution_is_one_of_its_parameter(
    distribution: BaseDistribution, seed: int
) -> None:
    """And what is exported of the parameter takes it, too."""
    parameter = parameter_of("x", [distribution])
    value = value_of(parameter, drawn(distribution, random.Random(seed)))
    assert parameter.contains(value)
    exported = distribution_of(parameter)
    assert exported._contains(exported.to_internal_repr(value))


def drawn(distribution: BaseDistribution, source: random.Random) -> object:
    if isinstance(distribution, CategoricalDistribution):
        return source.choice(distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    if distribution.step is None:
        return source.uniform(distribution.low, distribution.high)
    steps = round((distribution.high - distribution.low) / distribution.step)
    # As Optuna's samplers do it, with the error of floating-point numbers.
    return min(distribution.low + source.randint(0, steps) * distribution.step, distribution.high)


def test_a_switch_beside_a_number_is_not_exported() -> None:
    """Optuna finds choices by equality, and true equals 1."""
    with pytest.raises(BridgeError, match="takes for one"):
        distribution_of(CategoricalParameter(name="x", choices=(True, 1)))


def test_a_step_is_told_to_optuna() -> None:
    """Up to the last value that is one: Optuna would move the bound, and warn."""
    rate = FloatParameter(name="x", low=0.1, high=1.0, step=0.2)
    assert distribution_of(rate) == FloatDistribution(0.1, 0.9, step=0.2)
    width = IntParameter(name="x", low=2, high=9, step=3)
    assert distribution_of(width) == IntDistribution(2, 8, step=3)


def test_a_metric_keeps_its_capitals() -> None:
    """As metrics may have them."""
    assert list(metric_names(["valAccuracy", "Val Loss", "学", "loss"]).values()) == [
        "valAccuracy",
        "Val_Loss",
        "metric_",
        "loss",
    ]


@pytest.mark.filterwarnings("ignore:Choices for a categorical distribution")
@pytest.mark.parametrize("choice", [(1, 2), [3], {"a": 1}, b"x", math.nan, -math.inf])
def test_a_choice_that_is_no_value_is_named(choice: Any) -> None:
    """Not by what a choice may be, once for each type."""
    with pytest.raises(BridgeError) as refused:
        parameter_of("kind", [CategoricalDistribution([choice, "other"])])
    assert f"its choice {choice!r} is neither text" in str(refused.value)
