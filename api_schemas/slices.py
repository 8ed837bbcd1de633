"""How the models see an objective along one parameter, or over two of them, all others held."""

from typing import Self

from pydantic import Field, model_validator

from api_schemas.base import Schema
from api_schemas.search_space import Parameterization, ParameterValue


class Slice(Schema):
    """The model of an objective through one configuration, along `parameter`, or over it and `second`.

    Row by row, all `values` for the first of `second_values`, then for the next. `means` are in the metric's
    unit (medians where it is modelled as log10); `lower` and `upper` are one deviation of the model away,
    without the noise of a measurement, and equal to the mean of an objective that is `exact`.
    """

    metric: str
    parameter: str
    second: str | None = None
    values: tuple[ParameterValue, ...]
    second_values: tuple[ParameterValue, ...] = ()
    means: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    exact: bool
    through: Parameterization = Field(description="The configuration that the other parameters are held at.")

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        count = len(self.values) * (len(self.second_values) if self.second is not None else 1)
        if not len(self.means) == len(self.lower) == len(self.upper) == count:
            raise ValueError("a slice has a number for each value")
        return self


class SliceRead(Schema):
    """A slice as last computed from so many observations; without one, `reason` says why.

    `parameters` are those that have a slice for this objective, the most important first, and `pairs` what
    each of them can be combined with. `through_number` is the trial whose configuration is held.
    """

    study_id: str
    observations: int = Field(default=0, ge=0)
    slice: Slice | None = None
    through_number: int | None = None
    parameters: tuple[str, ...] = ()
    pairs: tuple[str, ...] = ()
    reason: str | None = None
