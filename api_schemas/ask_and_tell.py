"""Ask and tell: how a runner outside gets trials, keeps them and says what came out; and past results.

Every word after the suggestion names the attempt, the fencing token: a runner that has lost its trial to
another one writes nothing.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from api_schemas.base import WITHOUT_NUL, Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT, UNSIGNED_ZERO, Integer, Number
from api_schemas.objectives import LARGEST_METRIC, MetricName
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyState
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import CorrectedState, ReportedState, TrialState

LONGEST_WAIT_SECONDS = 20.0
LONGEST_LEASE_SECONDS = 7 * 24 * 3600.0
"""A week: so long a trial may stay with a runner that is silent, and so long it is lost if that has died."""
MOST_OBSERVATIONS = 1000
LARGEST_INT32 = 2**31 - 1

# Without a colon: the workers of the service have one in their names, and nobody may take theirs.
WorkerId = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=100, examples=["oven-2.lab.example"])
]
Attempt = Annotated[int, Field(ge=1, le=LARGEST_INT32), NO_BOOL_NOR_TEXT]
MetricValue = Annotated[float, Field(strict=True, ge=-LARGEST_METRIC, le=LARGEST_METRIC), UNSIGNED_ZERO]
ReportedMetrics = Annotated[dict[MetricName, MetricValue], Field(max_length=100)]
Reason = Annotated[str, Field(min_length=1, max_length=2000, pattern=WITHOUT_NUL)]


class SuggestRequest(Schema):
    """Ask for up to `count` trials. A worker that asks again first gets those that it still holds.

    Where none is ready, the answer waits for one, `wait_seconds` at most. `lease_seconds` is how long the
    worker may be silent about each of the trials, those that it still holds among them; left out, new ones
    get the server's usual length and the others keep theirs.
    """

    worker_id: WorkerId
    count: Integer = Field(default=1, ge=1, le=100)
    wait_seconds: Number = Field(default=0.0, ge=0, le=LONGEST_WAIT_SECONDS)
    lease_seconds: float | None = Field(default=None, ge=1, le=LONGEST_LEASE_SECONDS, strict=True)


class SuggestedTrial(Schema):
    """A trial to run: its parameters, the training seed, and the attempt to name in every further word.

    `configuration` is what a worker of the service would train; null in a custom study. A trial that is not
    heard of for `lease_seconds` may be given to somebody else.
    """

    trial_id: str
    study_id: str
    number: int
    replicate: int
    seed: int
    attempt: int
    parameters: Parameterization
    configuration: TrialConfiguration | None
    lease_seconds: float | None = None


class SuggestedTrials(Schema):
    """Trials to run, none where there is nothing to do now.

    `lease_seconds` is the length of the leases that were asked for, else the server's usual one.
    """

    trials: tuple[SuggestedTrial, ...]
    study_state: StudyState
    lease_seconds: float


class AttemptRequest(Schema):
    """A word about a running attempt."""

    attempt: Attempt


class MeasurementReport(Schema):
    """Metrics of a running attempt at one step."""

    attempt: Attempt
    step: Integer = Field(ge=0, le=LARGEST_INT32)
    metrics: ReportedMetrics


class StopReason(StrEnum):
    """Why a trial should stop."""

    STOPPED_EARLY = "stopped_early"
    """It would hardly join the front. Complete it as STOPPED_EARLY."""
    NOT_WANTED = "not_wanted"
    """Its study was cancelled, or another seed has decided about it. Release it."""


class TrialSignal(Schema):
    """The answer to a heartbeat or a measurement."""

    should_stop: bool
    reason: StopReason | None


class CompletionRequest(Schema):
    """How an attempt ended.

    SUCCEEDED needs every metric that the study's objectives and constraints name. INFEASIBLE says that the
    parameters cannot work, and teaches the optimiser; FAILED says that something else broke, and is tried
    again while attempts remain; both need a reason. STOPPED_EARLY is for a trial that was told to stop.
    """

    attempt: Attempt
    state: ReportedState
    reason: Reason | None = None
    metrics: ReportedMetrics = Field(default_factory=dict)
    test_metrics: ReportedMetrics = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_reason(self) -> Self:
        if self.state in (TrialState.INFEASIBLE, TrialState.FAILED) and self.reason is None:
            raise PydanticCustomError(
                "reason_missing", "say why the trial is {state}", {"state": self.state, "pointer": "reason"}
            )
        return self


class CorrectionRequest(Schema):
    """What really came out of a trial that has ended, in the place of what was told, and why that was wrong.

    SUCCEEDED needs every metric that the study's objectives and constraints name; INFEASIBLE has none.
    `replicate` says of which seed, where a trial has several.
    """

    state: CorrectedState = TrialState.SUCCEEDED
    reason: Reason
    metrics: ReportedMetrics = Field(default_factory=dict)
    test_metrics: ReportedMetrics = Field(default_factory=dict)
    replicate: Annotated[int, Field(ge=0, le=LARGEST_INT32), NO_BOOL_NOR_TEXT] | None = None


class ImportedObservation(Schema):
    """A past result: metrics, or why the parameters proved infeasible."""

    parameters: Parameterization = Field(max_length=1000)
    metrics: ReportedMetrics | None = None
    infeasible: Reason | None = None

    @model_validator(mode="after")
    def _check_one_of_both(self) -> Self:
        if (self.metrics is None) == (self.infeasible is None):
            raise PydanticCustomError(
                "observation_result", "give either metrics or, in `infeasible`, the reason why there are none"
            )
        return self


class ImportRequest(Schema):
    """Past results to learn from."""

    observations: tuple[ImportedObservation, ...] = Field(min_length=1, max_length=MOST_OBSERVATIONS)


class ImportResult(Schema):
    """How many observations became trials, and how many were left out since the study has such a trial."""

    imported: int
    already_known: int
