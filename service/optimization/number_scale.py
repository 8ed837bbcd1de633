"""Numbers of a float or int parameter as positions in [0, 1] of its scale, and back.

It works for any bounds: ranges wider than the largest double, subnormals, bounds that are adjacent doubles.
Knows a single parameter, and nothing that depends on its value.
"""

import math

import numpy as np
from jaxtyping import Float64

from api_schemas.search_space import FloatParameter, IntParameter

NumberParameter = FloatParameter | IntParameter

NARROW = 1 + 1e-6
"""A range whose bounds have at most this ratio is linear: logarithms could not tell its values apart."""

Numbers = Float64[np.ndarray, " n"]


def is_stepped(parameter: NumberParameter) -> bool:
    """Return whether only some of the numbers between the bounds are values."""
    return isinstance(parameter, IntParameter) or parameter.step is not None


def position_of(parameter: NumberParameter, number: float) -> float:
    """Return the position in [0, 1] of a number of the parameter."""
    if parameter.is_constant:
        return 0.0
    if parameter.steps is not None:
        return round((number - parameter.low) / float(parameter.step or 1)) / parameter.steps
    low, high = parameter.low, parameter.high
    if not on_logarithms(parameter):
        position = _share(low, high, number)
    elif math.isfinite(high / low):
        position = math.log(number / low) / math.log(high / low)
    else:
        position = (math.log(number) - math.log(low)) / (math.log(high) - math.log(low))
    return min(max(position, 0.0), 1.0)


def numbers_at(parameter: NumberParameter, positions: Numbers) -> Numbers:
    """Return the numbers at positions in [0, 1], as doubles. Equal positions give equal numbers."""
    if parameter.is_constant:
        return np.full(len(positions), float(parameter.low))
    if parameter.steps is not None:
        return _stepped(parameter, positions)
    # NumPy's exponential may round differently when an array is not contiguous.
    positions = np.ascontiguousarray(positions)
    if on_logarithms(parameter):
        low, high = math.log(parameter.low), math.log(parameter.high)
        with np.errstate(over="ignore"):
            numbers = np.exp(low + positions * (high - low))
    else:
        numbers = _between(parameter.low, parameter.high, positions)
    if isinstance(parameter, IntParameter):
        numbers = np.rint(numbers)
    # Adding 0.0 turns -0.0 into 0.0.
    return np.clip(numbers, parameter.low, parameter.high) + 0.0


def rounded(parameter: NumberParameter, positions: Numbers) -> Numbers:
    """Return the positions of the values that are nearest to positions, of a parameter with steps."""
    if parameter.is_constant:
        return np.zeros(len(positions))
    if parameter.steps is not None:
        return np.asarray(np.rint(positions * parameter.steps) / parameter.steps)
    return positions_of(parameter, numbers_at(parameter, np.maximum(positions, 0.0)))


def positions_of(parameter: NumberParameter, numbers: Numbers) -> Numbers:
    """Return the positions of many numbers, of a parameter without a step."""
    low, high = parameter.low, parameter.high
    if on_logarithms(parameter):
        return np.asarray(np.log(numbers / low) / math.log(high / low))
    return np.asarray((numbers - low) / (high - low))


def on_logarithms(parameter: NumberParameter) -> bool:
    """Return whether positions are shares of the logarithms' range."""
    return parameter.log and parameter.high / parameter.low > NARROW


def _stepped(parameter: NumberParameter, positions: Numbers) -> Numbers:
    steps, inverse = np.unique(np.rint(positions * (parameter.steps or 0)), return_inverse=True)
    values = [float(parameter.value_at(int(step))) for step in steps.tolist()]
    return np.array(values)[inverse.reshape(-1)]


def _share(low: float, high: float, number: float) -> float:
    # Halves, where the range is wider than any double.
    if math.isinf(float(high) - low):
        return (number / 2 - low / 2) / (high / 2 - low / 2)
    return (number - low) / (high - low)


def _between(low: float, high: float, positions: Numbers) -> Numbers:
    if math.isinf(float(high) - low):
        return low * (1.0 - positions) + high * positions
    return low + positions * (high - low)
