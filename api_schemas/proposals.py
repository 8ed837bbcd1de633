"""How trials are proposed, and why a trial was: settings of a study, explanations of its trials."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from api_schemas.base import WITHOUT_NUL, Schema
from api_schemas.json_values import Integer, Number
from api_schemas.one_shot import OneShot


class Proposer(StrEnum):
    """Who proposes the next configurations."""

    PARETUNE = "paretune"
    """Multi-objective Bayesian optimisation with known costs: the one to use."""
    RANDOM = "random"
    """Every parameter on its own, evenly."""
    SOBOL = "sobol"
    """A scrambled Sobol sequence."""


class DuplicatePolicy(StrEnum):
    """What becomes of a configuration whose result is known already."""

    REJECT = "reject"
    """A study trains no configuration twice, and ends when its space holds nothing new."""
    REPLICATE = "replicate"
    """As `reject`, but when the space holds nothing new, what is left of the budget goes into further
    seeds of the front's configurations, the least repeated first. Each seed costs one trial of the budget."""
    REUSE = "reuse"
    """As `reject`, and a configuration that succeeded in another of your studies (same backbone, task,
    recipe and seeds) takes its result from there instead of training. It costs one trial of the budget."""


class WarmStartMode(StrEnum):
    """What a study takes from former ones."""

    MODEL = "model"
    """Their results are the prior of its own model, as far as its own results bear them out."""
    PARETO = "pareto"
    """Their Pareto configurations run first."""


FormerStudy = Annotated[str, Field(max_length=100, pattern=WITHOUT_NUL)]


class WarmStart(Schema):
    """Former studies of the same tenant to learn from; task, backbone and depth may differ.

    `auto` takes the five most recent ended ones with a parameter in common and the same first
    objective. It is settled when the study is posted: reading the study back gives the ids.
    """

    studies: Annotated[tuple[FormerStudy, ...], Field(max_length=20)] | Literal["auto"] = "auto"
    mode: WarmStartMode = WarmStartMode.MODEL


class ProposalSettings(Schema):
    """How a study's configurations are proposed.

    `ahead` replicates are kept queued beyond `parallelism`, so that a free worker does not wait. After
    `time_limit_seconds` of one proposal, what is still missing is sampled instead of modelled.
    With `default_starting_points`, LoRA of rank 8, the Pfeiffer adapter and the head alone run after
    the study's own starting points, where its search space contains them.

    `one_shot` trains a super-network of a study that makes its backbone smaller, before the first trial;
    what it scores best, along the front of score and cost, is among the starting points. It costs part of
    the budget, by the time that it takes in trainings of the whole network.
    """

    proposer: Proposer = Proposer.PARETUNE
    ahead: Integer = Field(default=1, ge=0, le=1024)
    time_limit_seconds: Number = Field(default=10.0, gt=0, le=3600)
    duplicates: DuplicatePolicy = DuplicatePolicy.REJECT
    default_starting_points: bool = True
    warm_start: WarmStart | None = None
    # Versions of before refuse what they do not know.
    one_shot: OneShot | None = Field(default=None, exclude_if=lambda wanted: wanted is None)


class Prediction(Schema):
    """What the model expected of a metric, in the metric's unit, before the trial ran."""

    mean: float
    standard_deviation: float = Field(ge=0)


class Explanation(Schema):
    """Why a configuration was proposed. `acquisition_value` is a logarithm; the chance is in [0, 1].

    `learned_from` has the weight, up to 1, of each former study that the proposal rests on, and of each
    public task whose recorded trials it rests on.
    """

    predictions: dict[str, Prediction] = Field(default_factory=dict)
    acquisition_value: float | None = None
    front_probability: float | None = Field(default=None, ge=0, le=1)
    learned_from: dict[str, float] = Field(default_factory=dict)
