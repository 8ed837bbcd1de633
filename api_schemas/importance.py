"""Which parameters of a study's search space matter to which objective."""

from pydantic import Field

from api_schemas.base import Schema


class ParameterImportance(Schema):
    """The share of an objective's variance that is lost without a parameter, or a group of them.

    The total-effect Sobol index: main effect and every interaction, so shares may sum to more than 1. A
    group is moved as one; its name ends in `.*`.
    """

    name: str
    total_effect: float = Field(ge=0)


class ObjectiveImportance(Schema):
    """Every parameter for one objective, the most important first, and groups of numbered ones."""

    metric: str
    parameters: tuple[ParameterImportance, ...]
    groups: tuple[ParameterImportance, ...] = ()


class Importance(Schema):
    """What was learned from this many observations. `reason` says why there is nothing, if so."""

    observations: int = Field(default=0, ge=0)
    objectives: tuple[ObjectiveImportance, ...] = ()
    reason: str | None = None
