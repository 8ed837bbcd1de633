"""Drafts of studies on a backbone and a task that are made up."""

from collections.abc import Sequence
from typing import Any

from api_schemas.backbones import BackboneShape
from api_schemas.search_space import SearchSpace
from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Quantisation, TrialConfiguration
from service.catalogue.backbones.checkpoints import Checkpoint
from service.catalogue.tasks.facts import TaskFacts
from service.studies.study_draft import StudyDraft
from tests.conftest import make_study_request

SHAPE = BackboneShape(
    model_type="bert", layers=3, hidden_size=16, ffn_size=32, query_size=16, key_value_size=16,
    max_positions=64,
)  # fmt: skip
TASK = TaskFacts("t", TaskKind.CLASSIFICATION, ("a", "b"), takes_pairs=False, split_rows=(100, 10, 10))
LEARNING_RATE = {"type": "float", "name": "training.learning_rate", "low": 1e-4, "high": 1e-2}


def make_draft(
    *,
    configuration: dict[str, Any] | None = None,
    parameters: Sequence[dict[str, Any]] = (LEARNING_RATE,),
    shape: BackboneShape = SHAPE,
    quantised: Quantisation | None = None,
    **posted: Any,
) -> StudyDraft:
    base = {"backbone": "b", "task": {"name": "t"}, "training": {"max_length": 32}, **(configuration or {})}
    space = {"parameters": list(parameters)}
    return StudyDraft(
        request=make_study_request(configuration=base, search_space=space, **posted),
        search_space=SearchSpace.model_validate(space),
        configuration=TrialConfiguration.model_validate(base),
        backbone=Checkpoint(shape, quantised),
        task=TASK,
    )
