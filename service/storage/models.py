"""The tables. Nothing here changes state: that is `service.trials.lifecycle`."""

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    FetchedValue,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    false,
    func,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api_schemas.access import KeyScope
from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactKind, TrialState
from service.storage.base_table import READ_BACK, Base, one_of, text_of
from service.storage.parameters_column import Parameters


class Tenant(Base):
    """Who owns studies. A limit that is not set is the setting's."""

    __tablename__ = "tenants"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    active_studies: Mapped[int | None]
    running_trials: Mapped[int | None]
    artifact_bytes: Mapped[int | None] = mapped_column(BigInteger)
    served_at: Mapped[datetime | None]
    """When a study of this tenant last had its turn."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())


class ApiKey(Base):
    """A key by its hash. The key itself is random and long, so a plain SHA-256 is enough."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint(one_of("scope", KeyScope), name="scope"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    sha256: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    scope: Mapped[KeyScope] = mapped_column(type_=text_of(KeyScope))
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    is_first: Mapped[bool] = mapped_column(server_default=false())
    """Given by the deployment, by `PARETUNE_API_KEY`."""


class AuditEvent(Base):
    """Who did what that others may have to account for. A trigger refuses to change or delete a row."""

    __tablename__ = "audit_events"
    __table_args__ = (Index("ix_audit_events_tenant_id_sequence", "tenant_id", "sequence"),)

    sequence: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    type: Mapped[str]
    subject: Mapped[str]
    key_id: Mapped[str | None]
    request_id: Mapped[str | None]
    body: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Counter(Base):
    """A sum that only grows, in parts that rarely make two transactions wait for each other."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True)
    value: Mapped[float] = mapped_column(server_default="0", default=0.0)


class Heartbeat(Base):
    """When a part of the service last did its work."""

    __tablename__ = "heartbeats"

    name: Mapped[str] = mapped_column(primary_key=True)
    beaten_at: Mapped[datetime]


class DegradedWorker(Base):
    """A host whose trial workers take no trials, and why; a report that is not repeated is out of date."""

    __tablename__ = "degraded_workers"

    host: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[str]
    reported_at: Mapped[datetime]


class Study(Base):
    """A search. Its row lock orders everything that happens to it. `turn_*` belong to `trials.turns`."""

    __tablename__ = "studies"
    __table_args__ = (
        CheckConstraint(one_of("state", StudyState), name="state"),
        CheckConstraint("trials_created <= trial_budget", name="budget"),
        Index("ix_studies_open", "state", postgresql_where=text("state IN ('ACTIVE', 'CANCELLING')")),
        Index("ix_studies_tenant_id_id", "tenant_id", "id"),
        Index("ix_studies_turn_due_at", "turn_due_at", postgresql_where=text("turn_due_at IS NOT NULL")),
        Index(
            "ix_studies_turn_expires_at",
            "turn_expires_at",
            postgresql_where=text("turn_expires_at IS NOT NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"))
    display_name: Mapped[str]
    state: Mapped[StudyState] = mapped_column(default=StudyState.ACTIVE, type_=text_of(StudyState))
    state_reason: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="peft", default="peft")
    configuration: Mapped[dict[str, Any] | None]
    search_space: Mapped[dict[str, Any]]
    objectives: Mapped[list[Any]]
    constraints: Mapped[list[Any]]
    starting_points: Mapped[list[Any]]
    trial_budget: Mapped[int]
    parallelism: Mapped[int]
    seed: Mapped[int]
    replicates: Mapped[int] = mapped_column(server_default="1", default=1)
    final_replicates: Mapped[int] = mapped_column(server_default="0", default=0)
    race_share: Mapped[float] = mapped_column(server_default="0", default=0.0)
    race_progress: Mapped[dict[str, Any] | None]
    early_stopping: Mapped[str] = mapped_column(server_default="never", default="never")
    proposals: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    importance: Mapped[dict[str, Any] | None]
    accepted: Mapped[dict[str, Any] | None]
    one_shot: Mapped[dict[str, Any] | None]
    notes: Mapped[str] = mapped_column(Text, server_default="", default="")
    tags: Mapped[list[Any]] = mapped_column(server_default="[]", default=list)
    backbone_shape: Mapped[dict[str, Any] | None]
    classes: Mapped[int | None]
    reference_defaults: Mapped[list[Any]]
    reference_point: Mapped[list[Any] | None]
    hypervolume: Mapped[float | None]
    trials_created: Mapped[int] = mapped_column(server_default="0", default=0)
    trials_imported: Mapped[int] = mapped_column(server_default="0", default=0)
    front_sequence: Mapped[int] = mapped_column(server_default="0", default=0)
    event_sequence: Mapped[int] = mapped_column(server_default="0", default=0)
    woken_at: Mapped[datetime] = mapped_column(server_default=func.now())
    hinted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    turn_due_at: Mapped[datetime | None] = mapped_column(server_default=func.now())
    turn_holder: Mapped[str | None]
    turn_expires_at: Mapped[datetime | None]
    turn_attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    turn_error: Mapped[str | None]
    believing_attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    weighing_attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    finished_at: Mapped[datetime | None]


class Trial(Base):
    """One configuration to train. `attempt` is the last fencing token given to any of its replicates.

    `known_results` is how many results of its study it was proposed from.
    """

    __tablename__ = "trials"
    __mapper_args__ = READ_BACK
    __table_args__ = (
        UniqueConstraint("study_id", "number"),
        UniqueConstraint("study_id", "configuration_key"),
        CheckConstraint(one_of("state", TrialState), name="state"),
        Index("ix_trials_configuration_key", "configuration_key"),
        Index("ix_trials_study_id_state", "study_id", "state", "generated_by"),
    )

    id: Mapped[str] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"))
    number: Mapped[int]
    state: Mapped[TrialState] = mapped_column(default=TrialState.QUEUED, type_=text_of(TrialState))
    state_reason: Mapped[str | None]
    generated_by: Mapped[str]
    proposal_seconds: Mapped[float]
    known_results: Mapped[int] = mapped_column(server_default="0", default=0)
    explanation: Mapped[dict[str, Any] | None]
    parameters: Mapped[dict[str, Any]] = mapped_column(Parameters)
    configuration: Mapped[dict[str, Any] | None]
    configuration_key: Mapped[str]
    attempt: Mapped[int] = mapped_column(server_default="0", default=0)
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    test_metrics: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    metric_standard_errors: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    test_metric_standard_errors: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    woken_at: Mapped[datetime] = mapped_column(server_default=func.now())
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(server_onupdate=FetchedValue())
    finished_at: Mapped[datetime | None] = mapped_column(server_onupdate=FetchedValue())
    replicates: Mapped[list["Replicate"]] = relationship(order_by="Replicate.number", passive_deletes="all")


class Replicate(Base):
    """One configuration with one seed: what a worker leases. `attempt` is 0 until the first lease."""

    __tablename__ = "replicates"
    __mapper_args__ = READ_BACK
    __table_args__ = (
        CheckConstraint(one_of("state", TrialState), name="state"),
        CheckConstraint("(state = 'RUNNING') = (lease_expires_at IS NOT NULL)", name="lease"),
        Index(
            "uq_replicates_trial_id_attempt",
            "trial_id",
            "attempt",
            unique=True,
            postgresql_where=text("attempt > 0"),
        ),
        Index(
            "ix_replicates_open",
            "study_id",
            "state",
            "created_at",
            postgresql_where=text("state IN ('QUEUED', 'RUNNING')"),
        ),
        Index("ix_replicates_leased", "lease_expires_at", postgresql_where=text("state = 'RUNNING'")),
    )

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), index=True)
    seed: Mapped[int]
    state: Mapped[TrialState] = mapped_column(default=TrialState.QUEUED, type_=text_of(TrialState))
    state_reason: Mapped[str | None]
    attempt: Mapped[int] = mapped_column(server_default="0", default=0)
    lost_attempts: Mapped[int] = mapped_column(server_default="0", default=0)
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    lease_seconds: Mapped[float | None]
    metrics: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    test_metrics: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    provenance: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    started_at: Mapped[datetime | None] = mapped_column(server_onupdate=FetchedValue())
    finished_at: Mapped[datetime | None] = mapped_column(server_onupdate=FetchedValue())


class TrialMeasurement(Base):
    """Metrics of one attempt at one step."""

    __tablename__ = "measurements"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AttemptLog(Base):
    """The last lines that an attempt has said. Read for one trial at a time, and by nothing else."""

    __tablename__ = "attempt_logs"

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    attempt: Mapped[int] = mapped_column(primary_key=True)
    replicate: Mapped[int]
    lines: Mapped[str]
    omitted_lines: Mapped[int]
    recorded_at: Mapped[datetime]


class StoredFront(Base):
    """The front of a study after `sequence` accepted results, written in the transaction of the last."""

    __tablename__ = "pareto_fronts"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), index=True)
    member_trial_ids: Mapped[list[Any]]
    reference_point: Mapped[list[Any] | None]
    hypervolume: Mapped[float | None]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class StoredBelief(Base):
    """What the models believe of a study's trials after `sequence` accepted results; the newest is kept.

    `trials` has columns: ids, means and deviations by metric, chances of being on the front.
    """

    __tablename__ = "believed_fronts"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    sequence: Mapped[int]
    member_trial_ids: Mapped[list[Any]]
    hypervolume: Mapped[float | None]
    trials: Mapped[dict[str, Any]]
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now())


class StoredSlice(Base):
    """The models' view of an objective along a parameter, or over two; `second` is empty for one."""

    __tablename__ = "slices"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    parameter: Mapped[str] = mapped_column(primary_key=True)
    second: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    """Its place among those of the study: the most important parameter of an objective stands first."""
    observations: Mapped[int]
    body: Mapped[dict[str, Any]]


class Event(Base):
    """What happened to a study, in order. Append-only."""

    __tablename__ = "events"

    study_id: Mapped[str] = mapped_column(ForeignKey("studies.id"), primary_key=True)
    sequence: Mapped[int] = mapped_column(primary_key=True)
    type: Mapped[str]
    trial_id: Mapped[str | None]
    attempt: Mapped[int | None]
    body: Mapped[dict[str, Any]] = mapped_column(server_default="{}", default=dict)
    recorded_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Artifact(Base):
    """A file of a trial, in the artifact store. A checkpoint names the attempt and the step it is of."""

    __tablename__ = "artifacts"
    __table_args__ = (CheckConstraint(one_of("kind", ArtifactKind), name="kind"),)

    trial_id: Mapped[str] = mapped_column(ForeignKey("trials.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    path: Mapped[str]
    sha256: Mapped[str]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    kind: Mapped[ArtifactKind] = mapped_column(
        server_default="trained", default=ArtifactKind.TRAINED, type_=text_of(ArtifactKind)
    )
    attempt: Mapped[int | None]
    step: Mapped[int | None]


class IdempotencyKey(Base):
    """The answer that a request with this key got, written in the transaction of its effect."""

    __tablename__ = "idempotency_keys"

    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    request_hash: Mapped[str]
    status: Mapped[int]
    location: Mapped[str | None]
    body: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), index=True)
