"""Choosing one point of a front: what is asked for, and the answer with its reason."""

import math
from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import Schema
from api_schemas.objectives import ConstraintOp, OutcomeConstraint
from api_schemas.pareto import FrontBasis
from api_schemas.proposals import Prediction
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import TrialConfiguration


class RecommendationRule(StrEnum):
    """How one point of the front is chosen."""

    KNEE = "knee"
    """Where giving up some of one objective stops buying much of another."""
    BOUNDS = "bounds"
    """The best first objective among the points that keep every bound."""
    WEIGHTS = "weights"
    """The largest weighted sum of the objectives, each as its share of the front's range."""


NUMBER = r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?"
MetricValue = Annotated[
    str, Field(pattern=rf"^[A-Za-z][A-Za-z0-9_]{{0,63}}:{NUMBER}$", max_length=100, examples=["score:0.8"])
]
"""A metric's name and a number in its unit, as `METRIC:NUMBER`."""


class RecommendationQuery(Schema):
    """One rule: any bounds, or weights, or the knee, which is what nothing means, too."""

    at_most: tuple[MetricValue, ...] = Field(default=(), max_length=20)
    at_least: tuple[MetricValue, ...] = Field(default=(), max_length=20)
    weights: tuple[MetricValue, ...] = Field(default=(), max_length=6)
    knee: bool = False

    @property
    def rule(self) -> RecommendationRule:
        """Which rule is asked for."""
        if self.at_most or self.at_least:
            return RecommendationRule.BOUNDS
        return RecommendationRule.WEIGHTS if self.weights else RecommendationRule.KNEE

    @property
    def bounds(self) -> tuple[OutcomeConstraint, ...]:
        """The bounds, in the metrics' units."""
        sides = ((ConstraintOp.AT_MOST, self.at_most), (ConstraintOp.AT_LEAST, self.at_least))
        return tuple(
            OutcomeConstraint(metric=metric, op=op, bound=bound)
            for op, texts in sides
            for metric, bound in map(_parsed, texts)
        )

    @property
    def weight_of(self) -> dict[str, float]:
        """The weight of each objective that has one."""
        return dict(map(_parsed, self.weights))

    @model_validator(mode="after")
    def _check_one_rule(self) -> Self:
        asked = {
            "bounds (at_most, at_least)": bool(self.at_most or self.at_least),
            "weights": bool(self.weights),
            "knee": self.knee,
        }
        named = [name for name, is_asked in asked.items() if is_asked]
        if len(named) > 1:
            raise PydanticCustomError(
                "several_rules", "{rules} are different rules: ask for one", {"rules": " and ".join(named)}
            )
        return self

    @model_validator(mode="after")
    def _check_numbers(self) -> Self:
        for text in (*self.at_most, *self.at_least, *self.weights):
            if not math.isfinite(_parsed(text)[1]):
                raise PydanticCustomError(
                    "huge_number", "the number of '{text}' is too large", {"text": text}
                )
        weights = [_parsed(text) for text in self.weights]
        if len({metric for metric, _ in weights}) < len(weights):
            raise PydanticCustomError("repeated_weight", "an objective has two weights")
        if weights and (min(weight for _, weight in weights) < 0 or not any(dict(weights).values())):
            raise PydanticCustomError(
                "useless_weights", "weights are not negative, and one of them is more than zero"
            )
        return self


class FrontRange(Schema):
    """What the front spans in an objective, from its worst value to its best.

    `bound` is one to choose by, as the query takes it: half of the front or more keeps it. Null for the
    first objective, of which the best is taken within bounds on the others.
    """

    metric: str
    worst: float
    best: float
    bound: str | None


class AgainstDefault(Schema):
    """How the trial that the rule chose compares in `metric` with the default of the study, LoRA of rank 8.

    `difference` is how much better it is, in the metric's unit; `probability_better` the chance that it
    truly is, null where nobody knows how far a value may be off. `trainings_to_be_sure` is about how many
    trainings with fresh seeds, half of them for each of the two, would make that chance 0.9, should the
    difference stay as it is; null where none are needed or none would. With `set_aside` it is not
    recommended, but the default, or what is as good as that and cheaper.
    """

    metric: str
    default_trial_id: str
    default_number: int
    chosen_trial_id: str
    chosen_number: int
    difference: float
    standard_error: float | None = Field(ge=0)
    probability_better: float | None = Field(ge=0, le=1)
    trainings_to_be_sure: int | None = Field(ge=0)
    set_aside: bool


class LostAlternative(Schema):
    """The nearest point of the front that is better in one objective, and what it would cost.

    `differences` are its objectives less those of the chosen point.
    """

    better_in: str
    trial_id: str
    number: int
    metrics: dict[str, float]
    differences: dict[str, float]
    reason: str


class Recommendation(Schema):
    """A point of the front, why it was chosen, and everything to train it again or take it home.

    Where the front has no clear knee, nothing is recommended: `trial_id`, `number` and `study_file` are null,
    `reason` says why, and `ranges` what the front spans and bounds to choose by.
    `by` says which front the rule read: numbers in `reason`, `ranges` and `lost` are of that kind. `metrics`
    are as measured, `believed` as the models have it after `believed_sequence` results.
    `front_probability` is the chance that its true objectives are on the front, given how far each
    value may be off; null where that is not known, and `front_probability_reason` says either.
    `study_file` is a study that trains this configuration once more, as `paretune run` takes it.
    """

    study_id: str
    rule: RecommendationRule
    by: FrontBasis = FrontBasis.OBSERVED
    believed_sequence: int | None = None
    reason: str
    trial_id: str | None
    number: int | None
    metrics: dict[str, float]
    metric_standard_errors: dict[str, float]
    believed: dict[str, Prediction] = Field(default_factory=dict)
    test_metrics: dict[str, float]
    parameters: Parameterization
    modules: str
    configuration: TrialConfiguration | None
    ranges: tuple[FrontRange, ...]
    against_default: AgainstDefault | None
    lost: tuple[LostAlternative, ...]
    front_probability: float | None = Field(ge=0, le=1)
    front_probability_reason: str
    artifacts: tuple[str, ...]
    study_file: StudyCreate | None


def _parsed(text: str) -> tuple[str, float]:
    metric, _, number = text.partition(":")
    return metric, float(number)
