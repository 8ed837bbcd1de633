"""Measure a trained network on a split."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from api_schemas.tasks import ScoreMetric, TaskKind
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, evaluation_batches
from workers.errors import NotANumber
from workers.measuring.losses import mean_loss, row_losses
from workers.measuring.metrics import Metrics, is_collapsed, metrics_of
from workers.measuring.row_errors import resampled_error, share_error
from workers.peft_methods import TrialModules, logits
from workers.spans import tracer

EVALUATION_BATCH_SIZE = 128


@dataclass(frozen=True)
class Evaluation:
    """`score` is the task's score; `metrics` has all metrics of its kind by name, except the loss.

    `score_standard_error` is that of the score over rows like these.
    """

    score: float
    score_standard_error: float
    loss: float
    metrics: Mapping[str, float]
    collapsed: bool


@torch.inference_mode()
@tracer.start_as_current_span("evaluate")
def evaluate(modules: TrialModules, split: TokenisedSplit, *, backbone: Backbone, classes: int) -> Evaluation:
    """Measure a network whose modules are attached; `classes` is how many outputs it has.

    Raises:
        NotANumber: If the loss is not finite.
    """
    outputs = torch.zeros(len(split), classes)
    loss = 0.0
    pad_id = backbone.tokenizer.pad_token_id
    for positions, batch in evaluation_batches(
        split, batch_size=EVALUATION_BATCH_SIZE, pad_id=pad_id, device=backbone.device
    ):
        scores = logits(modules, batch, backbone=backbone)
        loss += float(mean_loss(scores, batch.labels, kind=split.kind)) * len(positions)
        outputs[positions] = scores.float().cpu()
    if not math.isfinite(loss):
        raise NotANumber(f"not-a-number: the loss of a held-out split is {loss}")
    return from_outputs(outputs, split, loss=loss / len(split))


def from_outputs(outputs: Float[Tensor, "n c"], split: TokenisedSplit, *, loss: float) -> Evaluation:
    """Compute the metrics of a split from the outputs for its rows, in their order."""
    labels = np.array(split.labels)
    predicted: np.ndarray
    if split.kind is TaskKind.CLASSIFICATION:
        predicted = outputs.argmax(dim=1).numpy()
    elif split.kind is TaskKind.MULTI_LABEL:
        labels = labels > 0
        predicted = (outputs > 0).numpy()  # a probability above one half
    else:
        predicted = outputs.squeeze(dim=1).double().numpy()
    measure = partial(metrics_of, kind=split.kind, classes=outputs.shape[1])
    metrics = measure(labels, predicted)
    return Evaluation(
        score=({ScoreMetric.NEGATIVE_LOSS: -loss} | metrics)[split.score],
        score_standard_error=_row_error(outputs, split, measure, labels=labels, predicted=predicted),
        loss=loss,
        metrics={str(name): value for name, value in metrics.items()},
        collapsed=is_collapsed(labels, predicted, kind=split.kind),
    )


def _row_error(
    outputs: Float[Tensor, "n c"],
    split: TokenisedSplit,
    measure: Callable[[np.ndarray, np.ndarray], Metrics],
    *,
    labels: np.ndarray,
    predicted: np.ndarray,
) -> float:
    rows = len(labels)
    if split.score is ScoreMetric.NEGATIVE_LOSS:
        losses = row_losses(outputs, torch.tensor(split.labels), kind=split.kind)
        return float(losses.double().std(correction=0)) / math.sqrt(rows)
    if split.score is ScoreMetric.ACCURACY:
        return share_error(round(measure(labels, predicted)[split.score] * rows), rows)
    return resampled_error(lambda drawn: measure(labels[drawn], predicted[drawn])[split.score], rows)
