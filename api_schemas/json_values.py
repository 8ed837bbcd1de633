"""Values that stay the same wherever they go: through JSON, a database, programs in other languages.

Knows no parameter and no study. A number has one identity, whether it is written 1 or 1.0; beyond 2**53
readers of JSON take it for a double, so it is one here, too; zero has no sign.
"""

import json
import math
from typing import Annotated, TypeGuard

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictFloat, StrictInt, StrictStr
from pydantic_core import PydanticCustomError

LARGEST_INTEGER = 2**53
"""Beyond it, not every reader of JSON tells integers apart."""

LONGEST_TEXT = 1000
LONGEST_NAME = 200

ParameterValue = StrictBool | StrictInt | StrictFloat | Annotated[StrictStr, Field(max_length=LONGEST_TEXT)]
"""One value of one parameter. Strict, so that `true`, `1` and `"1"` stay three different values."""

Parameterization = dict[Annotated[str, Field(max_length=LONGEST_NAME)], ParameterValue]
"""Parameter name to value. Inactive parameters are absent: that is their one canonical form."""

Identity = tuple[bool, ParameterValue]


def identity(value: ParameterValue) -> Identity:
    """Return what equal values share: 1 and 1.0 do, True and 1 do not, nor do 1 and "1"."""
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        try:
            return False, float(value)
        except OverflowError:
            return False, value
    return isinstance(value, bool), value


def written(value: object) -> str:
    """Return a value for a sentence as it is written in JSON, not as Python writes it."""
    return repr(str(value)) if isinstance(value, str) else json.dumps(value, default=str)


def storable(value: ParameterValue) -> ParameterValue:
    """Return the spelling of a value in which JSON and the database give it back.

    Raises:
        PydanticCustomError: If it is a number larger than any double.
    """
    if isinstance(value, bool | str):
        return value
    if isinstance(value, float):
        return value + 0.0
    if abs(value) <= LARGEST_INTEGER:
        return value
    try:
        return float(value)
    except OverflowError as error:
        raise PydanticCustomError("number_range", "numbers must be less than 1.8e308") from error


def read_back(parameters: Parameterization) -> Parameterization:
    """Return parameters as they were before a database wrote its doubles beyond 2**53 as integers."""
    return {
        name: float(value) if type(value) is int and abs(value) > LARGEST_INTEGER else value
        for name, value in parameters.items()
    }


def is_number(value: object) -> TypeGuard[int | float]:
    """Return whether a value is a finite number: no bool, no text."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or math.isfinite(value)


def _unsigned_zero(value: float) -> float:
    return value + 0.0


def _no_bool_nor_text(value: object) -> object:
    if isinstance(value, bool | str | bytes):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


UNSIGNED_ZERO = AfterValidator(_unsigned_zero)

Number = Annotated[float, Field(strict=True), UNSIGNED_ZERO]
"""A real number; `true` and `"3"` are none."""

NO_BOOL_NOR_TEXT = BeforeValidator(_no_bool_nor_text)
"""For an integer in a union or a list: its bounds stand before this, or OpenAPI would not know them."""

Integer = Annotated[int, NO_BOOL_NOR_TEXT]
"""An integer, which may be written 1.0; `true` and `"3"` are none."""

Storable = Annotated[ParameterValue, AfterValidator(storable)]
"""A value in the one spelling that survives."""

StorableNumber = Annotated[StrictInt | StrictFloat, AfterValidator(storable)]
