"""A teacher is trained once for each recipe, and what it answers reaches the loss of its trial."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from api_schemas.tasks import Folds
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import TrialReport, TrialState
from service.artifacts.artifact_store import store_at
from tests.workers.conftest import CPU, unchanged
from workers import distillation
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, TokenisedTask, micro_batches, pad
from workers.distillation import TeacherCache, teacher_of
from workers.errors import NotANumber, OutOfMemory
from workers.measuring.memory import MemoryModel
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial
from workers.saving.predictions import AnswerForm

ROWS = 12
SPLIT = TokenisedSplit(
    ids=tuple(tuple(5 + (row * 7 + place) % 40 for place in range(3 + row % 4)) for row in range(ROWS)),
    labels=tuple(row % 2 for row in range(ROWS)),
)
TASK = TokenisedTask(
    answers=AnswerForm(labels=("no", "yes")),
    train=SPLIT,
    validation=SPLIT,
    test=SPLIT,
    dropped={},
    sha256="a",
)


def taught(peft: dict[str, Any] | None = None, **training: Any) -> TrialConfiguration:
    recipe = {"epochs": 1, "batch_size": 4, "distillation": {"teacher_learning_rate": 1e-3}, **training}
    return TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": peft or {}, "training": recipe}
    )


def answers(
    configuration: TrialConfiguration,
    backbone: Backbone,
    *,
    cache: TeacherCache | None = None,
    limit: int | None = None,
    task: TokenisedTask = TASK,
) -> torch.Tensor:
    memory = MemoryModel(limit)
    return (cache or TeacherCache()).outputs(configuration, backbone=backbone, task=task, memory=memory)


def test_a_teacher_that_does_not_fit_in_memory_is_refused_with_the_reason(bert: Backbone) -> None:
    """And it is said that it is the teacher, which the configuration shows nowhere."""
    with pytest.raises(OutOfMemory, match=r"This is the teacher.*Leave 'training.distillation' out"):
        answers(taught(), bert, limit=1000)


def test_a_teacher_that_diverges_names_its_rate(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the trial's own rate it knows nothing."""

    def diverge(*_: object, **__: object) -> None:
        raise NotANumber("not-a-number: the loss is inf in epoch 1")

    monkeypatch.setattr(distillation, "fine_tune", diverge)
    with pytest.raises(NotANumber, match="teacher_learning_rate"):
        answers(taught(), bert)


def test_a_teacher_is_trained_once_for_each_recipe(bert: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a trial trains and with which rate and seed; other epochs or other rows have another."""
    trained: list[int] = []
    train = distillation._fine_tuned

    def counted(*of: Any, **by: Any) -> torch.Tensor:
        trained.append(1)
        return train(*of, **by)

    monkeypatch.setattr(distillation, "_fine_tuned", counted)
    cache = TeacherCache()
    for same in (taught(), taught({"lora": {"rank": 2}}, learning_rate=0.5, seed=3, weight_decay=0.1)):
        answers(same, bert, cache=cache)
    assert len(trained) == 1
    answers(taught(epochs=2), bert, cache=cache)
    answers(taught(), bert, cache=cache, task=replace(TASK, sha256="b"))
    assert len(trained) == 3


def test_the_same_recipe_has_the_same_teacher_on_every_worker(bert: Backbone) -> None:
    """Trained twice, the answers are equal to the bit; and they are answers to the rows in their order."""
    first = answers(taught(), bert)
    torch.manual_seed(99)
    assert torch.equal(answers(taught(), bert), first)
    assert first.shape == (ROWS, 2)
    turned = replace(SPLIT, ids=SPLIT.ids[::-1], labels=SPLIT.labels[::-1])
    assert not torch.equal(answers(taught(), bert, task=replace(TASK, train=turned)), first)


def test_with_folds_a_teacher_has_the_seed_of_its_trial() -> None:
    """Rows that a seed validates on must not have taught it."""
    dealt = taught(seed=3)
    task = dealt.task.model_copy(update={"resampling": Folds(folds=5)})
    assert teacher_of(dealt).training.seed == 0
    assert teacher_of(dealt.model_copy(update={"task": task})).training.seed == 3


def test_answers_go_with_their_rows() -> None:
    """Through batches, and through the parts of one that is too large."""
    split = replace(SPLIT, teacher=torch.arange(2.0 * ROWS).reshape(ROWS, 2))
    batch = pad(split, [5, 1, 7], pad_id=0, device=CPU)
    assert batch.teacher is not None
    assert batch.teacher[:, 0].tolist() == [10.0, 2.0, 14.0]
    parts = [part.teacher for part in micro_batches(batch, tokens=1)]
    assert [float(part[0, 0]) for part in parts if part is not None] == [10.0, 2.0, 14.0]


def test_a_trial_learns_from_its_teacher(small_trial: TrialConfiguration, tmp_path: Path) -> None:
    """From the rows that its frozen layers are kept for; the same again, and otherwise than alone."""
    cache, store = ModelCache(None, device=CPU), store_at(str(tmp_path))

    def run(**training: Any) -> TrialReport:
        base = small_trial.model_dump(mode="json")
        recipe = {**base["training"], "epochs": 1, **training}
        configuration = TrialConfiguration.model_validate({**base, "training": recipe})
        return run_trial(Trial(configuration, None, lambda _: False), cache=cache, store=store)

    alone, first, again = run(), run(distillation={"weight": 1.0}), run(distillation={"weight": 1.0})
    assert first.state is TrialState.SUCCEEDED
    assert first.provenance["starts_at_layer"] == 5
    assert first.metrics["loss"] == again.metrics["loss"] != alone.metrics["loss"]


def test_a_teacher_reads_the_rows_and_not_what_frozen_layers_made_of_them(
    small_trial: TrialConfiguration,
) -> None:
    """It trains all layers: whichever layer its trial starts at, its answers are those to the plain task."""
    cache = ModelCache(None, device=CPU)
    base = small_trial.model_dump(mode="json")
    recipe = {**base["training"], "epochs": 1, "distillation": {"weight": 1.0}}
    configuration = TrialConfiguration.model_validate({**base, "training": recipe})
    backbone = cache.backbone(configuration.backbone)
    wanted = answers(configuration, backbone, task=cache.task(configuration))
    learned = cache.taught(cache.task_from(configuration, layer=5), configuration).train
    assert learned.activations is not None
    assert learned.teacher is not None
    assert torch.equal(learned.teacher, wanted)


def test_a_teacher_that_runs_out_of_memory_is_tried_with_smaller_parts(
    bert: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a trial is; only then is it refused."""
    asked: list[int] = []
    train = distillation._fine_tuned

    def first_fails(*of: Any, micro_batch_divisor: int, **by: Any) -> torch.Tensor:
        asked.append(micro_batch_divisor)
        if micro_batch_divisor == 1:
            raise MemoryError
        return train(*of, micro_batch_divisor=micro_batch_divisor, **by)

    monkeypatch.setattr(distillation, "_fine_tuned", first_fails)
    assert answers(taught(), bert).shape == (ROWS, 2)
    assert asked == [1, 2]


def test_a_teacher_leaves_the_backbone_as_it_was() -> None:
    """Its weights are copies."""
    with unchanged("bert") as bert:
        answers(taught(), bert)
