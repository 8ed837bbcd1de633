"""The loss of each kind of label. Knows nothing about networks or batches."""

from jaxtyping import Float, Shaped
from torch import Tensor
from torch.nn import functional

from api_schemas.tasks import TaskKind


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
