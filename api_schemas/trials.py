"""Trials: their states, what a worker is handed, what it reports, and what a client reads."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api_schemas.base import Schema, one_of
from api_schemas.one_shot import SuperNetworkOrder
from api_schemas.proposals import Explanation
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration


class TrialState(StrEnum):
    """Where a trial stands."""

    QUEUED = "QUEUED"
    """Proposed; waits for a worker."""
    RUNNING = "RUNNING"
    """A worker holds the lease of one of its replicates."""
    SUCCEEDED = "SUCCEEDED"
    """Trained and measured."""
    INFEASIBLE = "INFEASIBLE"
    """The configuration cannot work (out of memory, not-a-number). The optimiser learns from it."""
    FAILED = "FAILED"
    """Our fault, after the last attempt. The optimiser does not learn from it."""
    STOPPED_EARLY = "STOPPED_EARLY"
    """Stopped because it would not have joined the front."""
    CANCELLED = "CANCELLED"
    """Its study was cancelled."""


IMPORTED = "imported"
"""Who generated a trial that is a past result: nobody here."""

TERMINAL_TRIAL_STATES = frozenset(TrialState) - {TrialState.QUEUED, TrialState.RUNNING}

TEACHING_STATES = (TrialState.SUCCEEDED, TrialState.INFEASIBLE, TrialState.STOPPED_EARLY)
"""What the optimiser learns from; of a stopped trial, with the score that was predicted for its end.

A FAILED trial carries no information about its configuration.
"""

ReportedState = Annotated[
    TrialState,
    one_of(TrialState.SUCCEEDED, TrialState.INFEASIBLE, TrialState.FAILED, TrialState.STOPPED_EARLY),
]
"""How whoever ran a trial may say that it ended."""


SHARE = "share"
"""The metric of a measurement that is the share of the training done so far, up to 1."""

CorrectedState = Annotated[TrialState, one_of(TrialState.SUCCEEDED, TrialState.INFEASIBLE)]
"""What a trial that was told wrongly proves to be."""


class Measurement(Schema):
    """Metrics at one step of training (an epoch here)."""

    step: int = Field(ge=0)
    metrics: dict[str, float]


class ArtifactKind(StrEnum):
    """What a file holds."""

    TRAINED = "trained"
    """What a finished trial trained."""
    CHECKPOINT = "checkpoint"
    """What a trial had trained when it was cancelled."""


class ArtifactRecord(Schema):
    """A file that a trial left: its name, its path in the artifact store, and its hash.

    A checkpoint is of an unfinished trial: it names the attempt, and how many optimiser steps that had done.
    """

    name: str = Field(pattern=r"^[a-z0-9_.-]+$", examples=["weights.safetensors"])
    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])
    size_bytes: int = Field(ge=0)
    kind: ArtifactKind = ArtifactKind.TRAINED
    attempt: int | None = None
    step: int | None = None


class ClaimedTrial(Schema):
    """What a worker gets: one replicate of a trial, and the attempt it must name in every write.

    The configuration carries the replicate's own seed. `artifacts_path` is where to save what was
    trained, in the artifact store; null means that nothing is kept of this replicate. `super_network` is
    what to train and score for the study first. With `is_timed_merged` what can be merged is timed merged,
    as all trials of a study that makes its backbone smaller.
    """

    trial_id: str
    study_id: str
    number: int
    replicate: int
    attempt: int
    configuration: TrialConfiguration
    artifacts_path: str | None
    super_network: SuperNetworkOrder | None = None
    is_timed_merged: bool = False


class TrialReport(Schema):
    """How an attempt ended. `metrics` are from the validation split, `test_metrics` from the test split."""

    state: ReportedState
    reason: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    test_metrics: dict[str, float] = Field(default_factory=dict)
    artifacts: tuple[ArtifactRecord, ...] = ()
    provenance: dict[str, str | int | float] = Field(default_factory=dict)


class ReplicateRead(Schema):
    """A trial's configuration trained with one seed. Number 0 has the configuration's own seed."""

    number: int
    seed: int
    state: TrialState
    state_reason: str | None
    attempt: int
    metrics: dict[str, float]
    test_metrics: dict[str, float]
    provenance: dict[str, str | int | float]
    worker: str | None
    started_at: datetime | None
    finished_at: datetime | None


class TrialRead(Schema):
    """A trial as a client sees it.

    `metrics` and `test_metrics` are means over the replicates that succeeded; the standard errors
    beside them (standard deviation / sqrt(seeds)) are empty for a single seed. Measurements,
    artifacts, provenance and worker are those of replicate 0, never those of the best one.
    `attempt` counts the attempts of all replicates. A trial of a custom study has no configuration, and
    no modules; one that was imported has had no attempt. A trial is `collapsed` if any of its seeds
    ended in predicting one and the same thing for every input. `modules` says in a few words what is
    trained. A trial that was stopped early has the metrics of its last measurement; measurements may
    carry `predicted_score`, `predicted_score_deviation` and `chance` (of joining the front).
    """

    id: str
    study_id: str
    number: int
    state: TrialState
    state_reason: str | None
    generated_by: str
    proposal_seconds: float
    explanation: Explanation | None = None
    parameters: Parameterization
    configuration: TrialConfiguration | None
    modules: str = ""
    attempt: int
    metrics: dict[str, float]
    test_metrics: dict[str, float]
    metric_standard_errors: dict[str, float] = Field(default_factory=dict)
    test_metric_standard_errors: dict[str, float] = Field(default_factory=dict)
    collapsed: bool = False
    replicates: tuple[ReplicateRead, ...] = ()
    measurements: tuple[Measurement, ...]
    artifacts: tuple[ArtifactRecord, ...]
    provenance: dict[str, str | int | float]
    on_front: bool
    worker: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class TrialPage(Schema):
    """Trials by number. `next_page_token` asks for the rest; null means there is none."""

    trials: tuple[TrialRead, ...]
    next_page_token: str | None
