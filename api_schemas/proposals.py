"""How trials are proposed, and why a trial was: settings of a study, explanations of its trials."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from api_schemas.base import WITHOUT_NUL, Schema


class Proposer(StrEnum):
    """Who proposes the next configurations."""

    PARETUNE = "paretune"
    """Multi-objective Bayesian optimisation with known costs: the one to use."""


class WarmStartMode(StrEnum):
    """What a study takes from former ones."""

    MODEL = "model"
    """Their results are the prior of its own model, as far as its own results bear them out."""
    PARETO = "pareto"
    """Their Pareto configurations run first."""


class WarmStart(Schema):
    """Former studies of the same tenant to learn from; task, backbone and depth may differ.

    `auto` takes the five most recent ended ones with a parameter in common and the same first
    objective. It is settled when the study is posted: reading the study back gives the ids.
    """

    studies: tuple[Annotated[str, Field(max_length=100, pattern=WITHOUT_NUL)], ...] | Literal["auto"] = Field(
        default="auto", max_length=20
    )
    mode: WarmStartMode = WarmStartMode.MODEL


class ProposalSettings(Schema):
    """How a study's configurations are proposed.

    `ahead` replicates are kept queued beyond `parallelism`, so that a free worker does not wait.
    """

    proposer: Proposer = Proposer.PARETUNE
    ahead: int = Field(default=1, ge=0, le=1024)
    warm_start: WarmStart | None = None


class Prediction(Schema):
    """What the model expected of a metric, in the metric's unit, before the trial ran."""

    mean: float
    standard_deviation: float = Field(ge=0)


class Explanation(Schema):
    """Why a configuration was proposed. `acquisition_value` is a logarithm; the chance is in [0, 1].

    `learned_from` has the weight, up to 1, of each former study that the proposal rests on.
    """

    predictions: dict[str, Prediction] = Field(default_factory=dict)
    acquisition_value: float | None = None
    front_probability: float | None = Field(default=None, ge=0, le=1)
    learned_from: dict[str, float] = Field(default_factory=dict)
