"""Studies and trials as the server would show them, for tests of what a person sees."""

from datetime import UTC, datetime, timedelta

from api_schemas.pareto import ParetoFront, ParetoPoint
from api_schemas.studies import StudyRead
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import ReplicateRead, TrialRead, TrialState

START = datetime(2026, 1, 1, tzinfo=UTC)
BASE = TrialConfiguration.model_validate(
    {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True, True]}}
)
OBJECTIVES = [
    {"metric": "score", "direction": "maximize"},
    {"metric": "trainable_parameters", "direction": "minimize"},
]


def study(**changes: object) -> StudyRead:
    return StudyRead.model_validate(
        {
            "id": "std_1",
            "display_name": "A study",
            "state": "ACTIVE",
            "state_reason": None,
            "configuration": BASE,
            "search_space": {"parameters": [{"type": "bool", "name": "peft.active_layers.0"}]},
            "objectives": OBJECTIVES,
            "constraints": [],
            "budget": {"trials": 4},
            "parallelism": 1,
            "starting_points": [],
            "seed": 0,
            "early_stopping": "never",
            "backbone_shape": {
                "model_type": "bert", "layers": 2, "hidden_size": 8, "ffn_size": 32,
                "query_size": 8, "key_value_size": 8, "max_positions": 64,
            },
            "classes": 2,
            "reference_point": [0.5, 1000.0],
            "hypervolume": 0.25,
            "trials": {},
            "created_at": START,
            "finished_at": None,
            **changes,
        }
    )  # fmt: skip


def trial(number: int, *, score: float, parameters: float, serial: int = 4, **changes: object) -> TrialRead:
    return TrialRead.model_validate(
        {
            "id": f"trl_{number}",
            "study_id": "std_1",
            "number": number,
            "state": TrialState.SUCCEEDED,
            "state_reason": None,
            "generated_by": "initial_design",
            "proposal_seconds": 0.1,
            "parameters": {},
            "configuration": patch(BASE, {"peft.serial_adapter.bottleneck_size": serial}),
            "attempt": 1,
            "metrics": {"score": score, "trainable_parameters": parameters},
            "test_metrics": {"score": score - 0.01},
            "measurements": [],
            "artifacts": [],
            "provenance": {"torch": "2.13.0"},
            "on_front": True,
            "worker": "w",
            "created_at": START,
            "started_at": START,
            "finished_at": START + timedelta(seconds=10 * (number + 1)),
            **changes,
        }
    )


def seed(number: int, *, score: float) -> ReplicateRead:
    return ReplicateRead(
        number=number,
        seed=number,
        state=TrialState.SUCCEEDED,
        state_reason=None,
        attempt=number + 1,
        metrics={"score": score},
        test_metrics={"score": score},
        provenance={},
        worker="w",
        started_at=START,
        finished_at=START,
    )


def front(trials: list[TrialRead]) -> ParetoFront:
    points = [
        ParetoPoint(
            trial_id=item.id,
            number=item.number,
            metrics=item.metrics,
            test_metrics=item.test_metrics,
            metric_standard_errors=item.metric_standard_errors,
            test_metric_standard_errors=item.test_metric_standard_errors,
            seeds=max(1, len(item.replicates)),
            collapsed=item.collapsed,
            parameters=item.parameters,
            is_head_only=bool(item.configuration and item.configuration.is_head_only),
        )
        for item in sorted(trials, key=lambda item: -item.metrics["score"])
    ]
    return ParetoFront.model_validate(
        {
            "study_id": "std_1",
            "sequence": len(trials),
            "objectives": OBJECTIVES,
            "points": points,
            "reference_point": None,
            "hypervolume": None,
        }
    )
