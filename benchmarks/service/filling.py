"""Studies with thousands of ended trials, as the service would have left them, in a few statements."""

import hashlib
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from sqlalchemy import insert, select, update

from api_schemas.backbones import BackboneShape
from api_schemas.events import EventType
from api_schemas.objectives import Objective
from api_schemas.peft.counts import trainable_parameters
from api_schemas.search_space import (
    BoolParameter,
    CategoricalParameter,
    FloatParameter,
    IntParameter,
    OrdinalParameter,
    Parameter,
    Parameterization,
    ParameterValue,
    SearchSpace,
)
from api_schemas.studies import StudyCreate, StudyState
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialState
from service.storage.database import transaction
from service.storage.ids import new_id
from service.storage.models import (
    Artifact,
    Event,
    Replicate,
    StoredFront,
    Study,
    Tenant,
    Trial,
    TrialMeasurement,
)
from service.studies.canonical_trials import canonical_trials
from service.studies.creation import new_study
from service.studies.validation import ValidStudy, validate_study
from service.trials.pareto_front import front_members, hypervolume

METRICS_BESIDE = {"loss": 0.5, "train_loss": 0.4, "peak_memory_bytes": 4.1e8, "train_seconds": 28.5}
CONFIGURATIONS = 300
"""How many different ones the trials of a study take turns with; their keys differ nevertheless."""
ERRORS = {"score": 0.012, "latency_ms": 0.2}
MEASUREMENTS = 3
ARTIFACTS = ("adapter_model.safetensors", "adapter_config.json", "provenance.json")
REFERENCE = (0.0, 10_000_000.0, 100.0)
PEFT_STUDY: dict[str, Any] = {
    "configuration": {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}},
    "search_space": {"preset": "autopeft_by_layer"},
    "objectives": [
        {"metric": "score", "direction": "maximize", "reference": REFERENCE[0]},
        {"metric": "trainable_parameters", "direction": "minimize", "reference": REFERENCE[1]},
        {"metric": "latency_ms", "direction": "minimize", "reference": REFERENCE[2]},
    ],
}
CUSTOM_STUDY: dict[str, Any] = {
    "kind": "custom",
    "search_space": {
        "parameters": [
            {"type": "float", "name": "learning_rate", "low": 1e-5, "high": 1e-1, "log": True},
            {"type": "int", "name": "depth", "low": 1, "high": 500},
            {"type": "categorical", "name": "kernel", "choices": ["rbf", "poly", "linear"]},
        ]
    },
    "objectives": PEFT_STUDY["objectives"],
}


@dataclass
class Rows:
    """Rows on their way to the database, by table."""

    trials: list[dict[str, Any]] = field(default_factory=list)
    replicates: list[dict[str, Any]] = field(default_factory=list)
    measurements: list[dict[str, Any]] = field(default_factory=list)
    artifacts: list[dict[str, Any]] = field(default_factory=list)
    fronts: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


def add_study(
    body: dict[str, Any], *, ended: int, queued: int = 0, parallelism: int = 64, state: StudyState
) -> str:
    """Write a study with ended trials, each with its measurements, events and front, and with queued ones."""
    request = StudyCreate.model_validate(
        {
            **body,
            "display_name": f"{ended} ended, {queued} queued",
            "budget": {"trials": max(1, ended + queued)},
            "parallelism": parallelism,
            # Proposes nothing more: the queue stays as it was written.
            "proposals": {"ahead": 0},
        }
    )
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        study = new_study(tenant_id, _admitted(request.model_dump_json(by_alias=True), tenant_id))
        study.state = state
        session.add(study)
        session.flush()
        rows = _rows(study, ended=ended, queued=queued)
        for table, found in (
            (Trial, rows.trials),
            (Replicate, rows.replicates),
            (TrialMeasurement, rows.measurements),
            (Artifact, rows.artifacts),
            (StoredFront, rows.fronts),
            (Event, rows.events),
        ):
            if found:
                session.execute(insert(table), found)
        session.execute(
            update(Study)
            .where(Study.id == study.id)
            .values(
                trials_created=ended + queued,
                front_sequence=len(rows.fronts),
                event_sequence=len(rows.events),
                reference_point=list(REFERENCE),
                hypervolume=rows.fronts[-1]["hypervolume"] if rows.fronts else None,
            )
        )
        return study.id


@cache
def _admitted(request: str, tenant_id: str) -> ValidStudy:
    return validate_study(StudyCreate.model_validate_json(request), tenant_id=tenant_id)


def _rows(study: Study, *, ended: int, queued: int) -> Rows:
    rng = random.Random(0)  # noqa: S311  a benchmark, not a secret
    space = SearchSpace.model_validate(study.search_space)
    turn = canonical_trials(study)
    pool = [turn(drawn(space, rng)) for _ in range(min(CONFIGURATIONS, ended + queued))]
    parameters = [_parameters(study, trial.configuration, rng) for trial in pool]
    objectives = [Objective.model_validate(item) for item in study.objectives]
    rows = Rows()
    front: list[tuple[str, dict[str, float]]] = []
    for number in range(ended + queued):
        trial = pool[number % len(pool)]
        trial_id = new_id("trl")
        key = hashlib.sha256(f"{trial.key} {number}".encode()).hexdigest()
        metrics = {} if number >= ended else _metrics(parameters[number % len(pool)], rng)
        state = TrialState.SUCCEEDED if number < ended else TrialState.QUEUED
        rows.trials.append(
            {
                "id": trial_id, "study_id": study.id, "number": number, "state": state,
                "generated_by": "qlognehvi", "proposal_seconds": 0.7, "parameters": trial.parameters,
                "configuration": trial.configuration, "configuration_key": key, "metrics": metrics,
                "test_metrics": metrics, "attempt": int(number < ended),
                "metric_standard_errors": ERRORS if number < ended else {},
            }
        )  # fmt: skip
        rows.replicates.append(
            {
                "trial_id": trial_id, "number": 0, "study_id": study.id, "seed": 0, "state": state,
                "attempt": int(number < ended), "worker": "trials-0@host:1" if number < ended else None,
                "metrics": metrics, "test_metrics": metrics, "provenance": {"validation_rows": 600},
            }
        )  # fmt: skip
        rows.events.append(_event(rows, study, EventType.TRIAL_QUEUED, trial_id))
        if number < ended:
            front = _end(rows, study, objectives, front, trial_id=trial_id, metrics=metrics)
    return rows


def _end(
    rows: Rows,
    study: Study,
    objectives: list[Objective],
    front: list[tuple[str, dict[str, float]]],
    *,
    trial_id: str,
    metrics: dict[str, float],
) -> list[tuple[str, dict[str, float]]]:
    rows.events.append(_event(rows, study, EventType.TRIAL_STARTED, trial_id))
    for step in range(MEASUREMENTS):
        rows.measurements.append({"trial_id": trial_id, "attempt": 1, "step": step, "metrics": metrics})
        rows.events.append(_event(rows, study, EventType.TRIAL_MEASURED, trial_id))
    rows.artifacts += [
        {
            "trial_id": trial_id,
            "name": name,
            "path": f"{study.id}/{name}",
            "sha256": "0" * 64,
            "size_bytes": 1,
        }
        for name in ARTIFACTS
    ]
    candidates = [*front, (trial_id, metrics)]
    values = [item for _, item in candidates]
    front = [candidates[position] for position in front_members(objectives, values)]
    rows.fronts.append(
        {
            "study_id": study.id, "sequence": len(rows.fronts) + 1, "trial_id": trial_id,
            "member_trial_ids": [member for member, _ in front], "reference_point": list(REFERENCE),
            "hypervolume": hypervolume(
                objectives, [item for _, item in front], reference_point=REFERENCE
            ),
        }
    )  # fmt: skip
    for kind in (EventType.REPLICATE_ENDED, EventType.TRIAL_SUCCEEDED, EventType.FRONT_STORED):
        rows.events.append(_event(rows, study, kind, trial_id))
    return front


def _event(rows: Rows, study: Study, kind: EventType, trial_id: str) -> dict[str, Any]:
    sequence = len(rows.events) + 1
    return {
        "study_id": study.id,
        "sequence": sequence,
        "type": kind,
        "trial_id": trial_id,
        "attempt": 1,
        "body": {},
    }


def _parameters(study: Study, configuration: dict[str, Any] | None, rng: random.Random) -> float:
    if configuration is None or study.classes is None:
        return float(round(10 ** rng.uniform(3, 6)))
    return float(
        trainable_parameters(
            TrialConfiguration.model_validate(configuration),
            shape=BackboneShape.model_validate(study.backbone_shape),
            classes=study.classes,
        )
    )


def _metrics(parameters: float, rng: random.Random) -> dict[str, float]:
    score = 0.5 + 0.05 * math.log10(parameters) + rng.gauss(0.0, 0.04)
    latency_ms = 4.0 + 0.8 * math.log10(parameters) + abs(rng.gauss(0.0, 0.5))
    return {
        "score": float(np.clip(score, 0.0, 1.0)),
        "trainable_parameters": parameters,
        "latency_ms": latency_ms,
        **METRICS_BESIDE,
    }


def drawn(space: SearchSpace, rng: random.Random) -> Parameterization:
    """Draw a parameterization."""
    values = dict(_values(space, rng))
    return space.canonical(values)


def _values(space: SearchSpace, rng: random.Random) -> Iterator[tuple[str, ParameterValue]]:
    for parameter in space.parameters:
        yield parameter.name, _value(parameter, rng)


def _value(parameter: Parameter, rng: random.Random) -> ParameterValue:
    match parameter:
        case BoolParameter():
            return rng.random() < 0.5
        case CategoricalParameter() | OrdinalParameter():
            return rng.choice(parameter.choices)
        case IntParameter():
            return rng.randint(parameter.low, parameter.high)
        case FloatParameter():
            return rng.uniform(parameter.low, parameter.high)
