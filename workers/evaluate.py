"""Metrics of a trained classifier on a split."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from workers.backbones import Backbone
from workers.peft_methods import TrialModules, logits
from workers.task_data import TokenisedSplit, evaluation_batches

EVALUATION_BATCH_SIZE = 128


@dataclass(frozen=True)
class Evaluation:
    """`score` is accuracy; a collapsed classifier gives every text the same label."""

    score: float
    macro_f1: float
    loss: float
    collapsed: bool


@torch.inference_mode()
def evaluate(modules: TrialModules, split: TokenisedSplit, *, backbone: Backbone, classes: int) -> Evaluation:
    """Measure a classifier whose modules are attached."""
    confusion = torch.zeros(classes, classes, dtype=torch.long)
    loss = 0.0
    pad_id = backbone.tokenizer.pad_token_id
    for _, batch in evaluation_batches(
        split, batch_size=EVALUATION_BATCH_SIZE, pad_id=pad_id, device=backbone.device
    ):
        scores = logits(modules, batch, backbone=backbone)
        loss += float(functional.cross_entropy(scores, batch.labels, reduction="sum"))
        pairs = batch.labels * classes + scores.argmax(dim=1)
        confusion += torch.bincount(pairs.cpu(), minlength=classes**2).view(classes, classes)
    return from_confusion(confusion, loss=loss / len(split))


def from_confusion(confusion: torch.Tensor, *, loss: float) -> Evaluation:
    """Compute the metrics from counts, rows the true labels and columns the predicted ones."""
    right = confusion.diagonal().double()
    # F1 = 2 TP / (2 TP + FP + FN); a label that never occurs nor is predicted counts as 0.
    f1 = 2 * right / (confusion.sum(dim=0) + confusion.sum(dim=1)).clamp(min=1)
    return Evaluation(
        score=float(right.sum() / confusion.sum()),
        macro_f1=float(f1.mean()),
        loss=loss,
        collapsed=int((confusion.sum(dim=0) > 0).sum()) == 1,
    )
