"""The loss of each kind of label. Knows nothing about networks or batches."""

import torch
from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Distillation


def mean_loss(outputs: Float[Tensor, "n c"], labels: Shaped[Tensor, "n ..."], *, kind: TaskKind) -> Tensor:
    """Return the mean loss of a batch, a scalar.

    Classification: cross-entropy over the c classes; `labels` are their numbers (n).
    Several labels: binary cross-entropy with logits, mean over rows and labels; `labels` are 0 or 1 (n, c).
    Regression: squared error of the one output; `labels` are standardised values (n), so a loss of 1
    is that of always predicting the training mean.
    """
    if kind is TaskKind.CLASSIFICATION:
        return functional.cross_entropy(outputs, labels)
    if kind is TaskKind.MULTI_LABEL:
        return functional.binary_cross_entropy_with_logits(outputs, labels.to(outputs.dtype))
    return functional.mse_loss(outputs.squeeze(dim=1), labels.to(outputs.dtype))


def distilled_loss(
    outputs: Float[Tensor, "n c"],
    labels: Shaped[Tensor, "n ..."],
    teacher: Float[Tensor, "n c"],
    *,
    kind: TaskKind,
    how: Distillation,
) -> Tensor:
    """Return (1 - w) times the mean loss of a batch and w times its distance from a teacher, a scalar.

    Classification: T^2 KL(teacher || student) of the classes' probabilities at temperature T, so that its
    gradients do not shrink with T (Hinton and others, arXiv 1503.02531, section 2). Several labels: the same
    of each label's two, mean over labels. Regression: squared distance from the teacher's standardised value.
    """
    own = mean_loss(outputs, labels, kind=kind)
    return (1 - how.weight) * own + how.weight * _distance(outputs, teacher, kind=kind, T=how.temperature)


def _distance(
    outputs: Float[Tensor, "n c"], teacher: Float[Tensor, "n c"], *, kind: TaskKind, T: float
) -> Tensor:
    teacher = teacher.to(outputs.dtype)
    if kind is TaskKind.REGRESSION:
        return functional.mse_loss(outputs, teacher)
    if kind is TaskKind.MULTI_LABEL:
        # A label's two probabilities are a softmax of its output and zero.
        outputs, teacher = (torch.stack([of, torch.zeros_like(of)]).flatten(1).T for of in (outputs, teacher))
    students, teachers = (functional.log_softmax(of / T, dim=1) for of in (outputs, teacher))
    return T**2 * functional.kl_div(students, teachers, reduction="batchmean", log_target=True)


def row_losses(
    outputs: Float[Tensor, "n c"], labels: Shaped[Tensor, "n ..."], *, kind: TaskKind
) -> Float[Tensor, " n"]:
    """Return the loss of each row; their mean is `mean_loss`."""
    if kind is TaskKind.CLASSIFICATION:
        return functional.cross_entropy(outputs, labels, reduction="none")
    targets = labels.to(outputs.dtype)
    if kind is TaskKind.MULTI_LABEL:
        return functional.binary_cross_entropy_with_logits(outputs, targets, reduction="none").mean(dim=1)
    return functional.mse_loss(outputs.squeeze(dim=1), targets, reduction="none")
