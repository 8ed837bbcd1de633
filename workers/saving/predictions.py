"""Predictions from the outputs of a trained head: a label, labels or a value."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from api_schemas.base import Schema
from api_schemas.tasks import TaskKind
from workers.errors import UnfitInput


class AnswerForm(Schema):
    """What turns outputs into predictions: the kind of task, the names of labels, the scale of values."""

    kind: TaskKind = TaskKind.CLASSIFICATION
    labels: tuple[str, ...] = ()
    """Empty for a value."""
    mean: float = 0.0
    standard_deviation: float = 1.0
    """Of the training labels: the head's output is in standard deviations from the mean."""
    takes_pairs: bool = False

    @property
    def outputs(self) -> int:
        """How many outputs the head has."""
        return 1 if self.kind is TaskKind.REGRESSION else len(self.labels)


@dataclass(frozen=True)
class Prediction:
    """The most probable label of a text."""

    label: str
    probability: float


@dataclass(frozen=True)
class LabelsPrediction:
    """The labels that apply to a text (probability above one half), and the probability of every label."""

    labels: tuple[str, ...]
    probabilities: dict[str, float]


@dataclass(frozen=True)
class ValuePrediction:
    """The value of a text, in the unit of the training labels."""

    value: float


AnyPrediction = Prediction | LabelsPrediction | ValuePrediction


def predictions(outputs: Float[Tensor, "n c"], form: AnswerForm) -> list[AnyPrediction]:
    """Read the head's outputs row by row."""
    if form.kind is TaskKind.CLASSIFICATION:
        best = outputs.softmax(dim=1).max(dim=1)
        return [
            Prediction(form.labels[number], probability)
            for probability, number in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
    if form.kind is TaskKind.MULTI_LABEL:
        return [
            _labels(dict(zip(form.labels, chances, strict=True))) for chances in outputs.sigmoid().tolist()
        ]
    values = outputs.squeeze(dim=1).double() * form.standard_deviation + form.mean
    return [ValuePrediction(value) for value in values.tolist()]


def split_pairs(texts: Sequence[str | tuple[str, str]], *, takes_pairs: bool) -> list[tuple[str, str | None]]:
    """Check that texts are a list, of single ones or of pairs as the network was trained.

    Raises:
        UnfitInput: If they are not, or one is not.
    """
    # A text is a sequence of texts, too: its characters.
    if isinstance(texts, str):
        wanted = "pairs of texts" if takes_pairs else "texts"
        raise UnfitInput(f"Give a list of {wanted}, also of one, and not the text {texts!r:.80} itself.")
    pairs: list[tuple[str, str | None]] = []
    for position, text in enumerate(texts):
        if takes_pairs == isinstance(text, str):
            wanted = "a pair of texts" if takes_pairs else "one text"
            raise UnfitInput(f"This network reads {wanted} at a time; item {position} is {text!r:.80}.")
        pairs.append((text, None) if isinstance(text, str) else (text[0], text[1]))
    return pairs


def _labels(probabilities: dict[str, float]) -> LabelsPrediction:
    applying = tuple(name for name, chance in probabilities.items() if chance > 0.5)
    return LabelsPrediction(applying, probabilities)
