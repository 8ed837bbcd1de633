"""What the outputs of a head mean to a person."""

import pytest
import torch

from api_schemas.tasks import TaskKind
from workers.errors import UnfitInput
from workers.saving.predictions import (
    AnswerForm,
    LabelsPrediction,
    Prediction,
    ValuePrediction,
    predictions,
    split_pairs,
)


@pytest.mark.parametrize(
    ("texts", "takes_pairs", "complaint"),
    [
        (["a", ("b", "c")], False, "one text at a time; item 1"),
        (["a"], True, "a pair of texts at a time; item 0"),
        ("a text", False, "list of texts, also of one.*'a text'"),
        ("a text", True, "list of pairs of texts, also of one"),
    ],
)
def test_what_it_was_not_trained_on_is_refused(
    texts: list[str | tuple[str, str]], takes_pairs: bool, complaint: str
) -> None:
    """Pairs and single texts are not mixed up in silence."""
    with pytest.raises(UnfitInput, match=complaint):
        split_pairs(texts, takes_pairs=takes_pairs)


def test_a_class_comes_with_its_probability() -> None:
    """The most probable one, by softmax."""
    (found,) = predictions(torch.tensor([[0.0, 1.0]]), AnswerForm(labels=("no", "yes")))
    assert found == Prediction("yes", pytest.approx(1 / (1 + 2.718281828**-1)))


def test_labels_come_with_the_probability_of_each() -> None:
    """Those above one half apply; there may be none."""
    form = AnswerForm(kind=TaskKind.MULTI_LABEL, labels=("joy", "fear"))
    some, none = predictions(torch.tensor([[2.0, -2.0], [-1.0, -1.0]]), form)
    assert some == LabelsPrediction(
        ("joy",), {"joy": pytest.approx(0.880797), "fear": pytest.approx(0.119203)}
    )
    assert isinstance(none, LabelsPrediction)
    assert none.labels == ()


def test_a_value_is_in_the_unit_of_the_labels() -> None:
    """Two standard deviations above the training mean."""
    form = AnswerForm(kind=TaskKind.REGRESSION, mean=10.0, standard_deviation=3.0)
    assert form.outputs == 1
    assert predictions(torch.tensor([[2.0], [0.0]]), form) == [ValuePrediction(16.0), ValuePrediction(10.0)]
