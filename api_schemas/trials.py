"""Trials: their states, what a worker is handed, what it reports, and what a client reads."""

from datetime import datetime
from enum import StrEnum
from typing import Literal

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration


class TrialState(StrEnum):
    """Where a trial stands."""

    QUEUED = "QUEUED"
    """Proposed; waits for a worker."""
    RUNNING = "RUNNING"
    """A worker holds its lease."""
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


TERMINAL_TRIAL_STATES = frozenset(TrialState) - {TrialState.QUEUED, TrialState.RUNNING}


class Measurement(Schema):
    """Metrics at one step of training (an epoch here)."""

    step: int = Field(ge=0)
    metrics: dict[str, float]


class ArtifactRecord(Schema):
    """A file that a trial left: its name, where it lies under the artifact directory, and its hash."""

    name: str = Field(pattern=r"^[a-z0-9_.-]+$")
    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size_bytes: int = Field(ge=0)


class ClaimedTrial(Schema):
    """What a worker gets: the trial, and the attempt whose number it must name in every write."""

    trial_id: str
    study_id: str
    number: int
    attempt: int
    configuration: TrialConfiguration


class TrialReport(Schema):
    """How an attempt ended. `metrics` are from the validation split, `test_metrics` from the test split."""

    state: Literal[TrialState.SUCCEEDED, TrialState.INFEASIBLE, TrialState.FAILED]
    reason: str | None = None
    metrics: dict[str, float] = Field(default_factory=dict)
    test_metrics: dict[str, float] = Field(default_factory=dict)
    artifacts: tuple[ArtifactRecord, ...] = ()
    provenance: dict[str, str | int | float] = Field(default_factory=dict)


class TrialRead(Schema):
    """A trial as a client sees it."""

    id: str
    study_id: str
    number: int
    state: TrialState
    state_reason: str | None
    generated_by: str
    proposal_seconds: float
    parameters: Parameterization
    configuration: TrialConfiguration
    attempt: int
    metrics: dict[str, float]
    test_metrics: dict[str, float]
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
