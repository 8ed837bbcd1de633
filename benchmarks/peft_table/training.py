"""One training on one partition, with the worker's own loop, and all that is measured of it.

A seed sets initial weights, the order of batches and the partition: which rows of a task's pool train the
network and which validate it. Test rows are always the same.
"""

import base64
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from api_schemas.trial_configuration import TrialConfiguration
from benchmarks.autopeft.protocol import TEST_ROWS, TRAIN_ROWS, VALIDATION_ROWS
from workers.backbones.loading import Backbone
from workers.data.task_data import FrozenActivations, TokenisedSplit, TokenisedTask, evaluation_batches
from workers.errors import NotANumber
from workers.fine_tune import fine_tune
from workers.measuring.evaluate import EVALUATION_BATCH_SIZE, from_outputs
from workers.measuring.losses import mean_loss
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules, attached, logits

POOL_ROWS = TRAIN_ROWS + VALIDATION_ROWS
HALF_WAY = 0.5


@dataclass(frozen=True)
class Measured:
    """What a split says of a network: accuracy, mean loss, and for each row whether the answer was right."""

    score: float
    loss: float
    right: str
    """One bit a row in the order of the split, packed and in base 64."""


def train(configuration: TrialConfiguration, *, cache: ModelCache) -> dict[str, Any]:
    """Train a configuration on its seed's partition and measure it. Scores are null where it diverged."""
    started, begun = time.perf_counter(), _cpu_seconds()
    backbone = cache.network(configuration)
    whole = pool_configuration(configuration)
    classes = cache.task(whole).answers.outputs
    modules = TrialModules(
        configuration.peft, backbone=backbone, classes=classes, seed=configuration.training.seed
    )
    task = partition(cache.task_from(whole, layer=modules.first_layer), seed=configuration.training.seed)
    curve: list[dict[str, float]] = []

    def measure(share: float, training_loss: float) -> bool:
        point = {"share": share, "training_loss": round(training_loss, 4)}
        if share == HALF_WAY:
            half = evaluate(modules, task.validation, backbone=backbone, classes=classes)
            point |= {"validation_score": half.score, "validation_loss": round(half.loss, 4)}
        curve.append(point)
        return False

    found: dict[str, Any] = {"validation": None, "test": None}
    with attached(modules, backbone=backbone):
        try:
            training = configuration.training.model_copy(update={"measurements_per_epoch": 4})
            fine_tune(modules, task.train, backbone=backbone, training=training, measure=measure)
            found["train_cpu_seconds"] = round(_cpu_seconds() - begun, 2)
            for name in ("validation", "test"):
                one = evaluate(modules, getattr(task, name), backbone=backbone, classes=classes)
                found[name] = {"score": one.score, "loss": round(one.loss, 4), "right": one.right}
        except NotANumber:
            found |= {"validation": None, "test": None}
    return found | {
        "curve": curve,
        "trainable_parameters": sum(one.numel() for one in modules.parameters() if one.requires_grad),
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(_cpu_seconds() - begun, 2),
    }


def pool_configuration(configuration: TrialConfiguration) -> TrialConfiguration:
    """Return the configuration whose training split is the pool; its validation split is not read."""
    rows = {"train_rows": POOL_ROWS, "validation_rows": 1, "test_rows": TEST_ROWS}
    return configuration.model_copy(update={"task": configuration.task.model_copy(update=rows)})


def partition(task: TokenisedTask, *, seed: int) -> TokenisedTask:
    """Deal a task's pool out by seed: each label's rows are shuffled, and its share of them validates."""
    rng = np.random.default_rng(seed)
    ranked = []
    for label in sorted(set(task.train.labels)):  # type: ignore[type-var]  # numbers of classes
        of_label = rng.permutation([row for row, one in enumerate(task.train.labels) if one == label])
        ranked += [(place / len(of_label), label, int(row)) for place, row in enumerate(of_label, start=1)]
    order = [row for _, _, row in sorted(ranked)]
    trained, validating = sorted(order[:TRAIN_ROWS]), sorted(order[TRAIN_ROWS:])
    return replace(task, train=rows_of(task.train, trained), validation=rows_of(task.train, validating))


def rows_of(split: TokenisedSplit, rows: Sequence[int]) -> TokenisedSplit:
    """Return a part of a split; kept activations are shared, not copied."""
    kept = split.activations
    return replace(
        split,
        ids=tuple(split.ids[row] for row in rows),
        labels=tuple(split.labels[row] for row in rows),
        activations=kept
        and FrozenActivations(
            kept.layer,
            kept.hidden,
            tuple(kept.starts[row] for row in rows),
            tuple(kept.lengths[row] for row in rows),
        ),
    )


@torch.inference_mode()
def evaluate(modules: TrialModules, split: TokenisedSplit, *, backbone: Backbone, classes: int) -> Measured:
    """Measure attached modules as the worker does, and keep which rows are answered right.

    Raises:
        NotANumber: If the loss is not finite.
    """
    outputs, loss = torch.zeros(len(split), classes), 0.0
    for positions, batch in evaluation_batches(
        split,
        batch_size=EVALUATION_BATCH_SIZE,
        pad_id=backbone.tokenizer.pad_token_id,
        device=backbone.device,
    ):
        scores = logits(modules, batch, backbone=backbone)
        loss += float(mean_loss(scores, batch.labels, kind=split.kind)) * len(positions)
        outputs[positions] = scores.float().cpu()
    if not np.isfinite(loss):
        raise NotANumber("not-a-number: the loss of a held-out split")
    whole = from_outputs(outputs, split, loss=loss / len(split))
    right = outputs.argmax(dim=1).numpy() == np.array(split.labels)
    return Measured(whole.score, whole.loss, base64.b64encode(np.packbits(right).tobytes()).decode())


def _cpu_seconds() -> float:
    spent = resource.getrusage(resource.RUSAGE_SELF)
    return spent.ru_utime + spent.ru_stime
