"""From outputs to metrics: each kind gets its own, and the score is the chosen one."""

import pytest
import torch

from api_schemas.tasks import ScoreMetric, TaskKind
from api_schemas.trial_configuration import Peft
from workers.backbones.loading import Backbone
from workers.data.task_data import TokenisedSplit, pad
from workers.errors import NotANumber
from workers.measuring.evaluate import evaluate, from_outputs
from workers.measuring.losses import mean_loss
from workers.peft_methods import TrialModules, attached, logits

IDS = ((1, 2, 3), (4, 5), (6,), (7, 8, 9, 10))
SPLITS = [
    TokenisedSplit(IDS, (0, 1, 2, 1)),
    TokenisedSplit(
        IDS, ((0, 1, 1), (0, 0, 0), (1, 0, 0), (1, 1, 1)), TaskKind.MULTI_LABEL, ScoreMetric.MACRO_F1
    ),
    TokenisedSplit(IDS, (-1.0, 0.5, 2.0, 0.0), TaskKind.REGRESSION, ScoreMetric.SPEARMAN),
]  # fmt: skip


def outputs_of(split: TokenisedSplit) -> int:
    return 1 if split.kind is TaskKind.REGRESSION else 3


def modules_of(split: TokenisedSplit, backbone: Backbone) -> TrialModules:
    modules = TrialModules(Peft(), backbone=backbone, classes=outputs_of(split), seed=1).double()
    with torch.no_grad():
        modules.head.weight.mul_(50)
    return modules


def test_a_loss_that_is_no_number_is_an_error(bert: Backbone) -> None:
    """The reason says where it was found."""
    modules = modules_of(SPLITS[0], bert)
    with torch.no_grad():
        modules.head.bias.fill_(torch.nan)
    with attached(modules, backbone=bert), pytest.raises(NotANumber, match="held-out split is nan"):
        evaluate(modules, SPLITS[0], backbone=bert, classes=3)


@pytest.mark.parametrize("split", SPLITS, ids=lambda split: split.kind)
def test_a_split_is_measured_in_the_order_of_its_rows(split: TokenisedSplit, bert: Backbone) -> None:
    """Batches are sorted by length; metrics and loss are those of all rows at once."""
    modules = modules_of(split, bert)
    batch = pad(split, range(len(split)), pad_id=0, device=bert.device)
    with attached(modules, backbone=bert), torch.inference_mode():
        found = evaluate(modules, split, backbone=bert, classes=outputs_of(split))
        at_once = logits(modules, batch, backbone=bert)
    loss = mean_loss(at_once, batch.labels, kind=split.kind).item()
    expected = from_outputs(at_once.float(), split, loss=loss)
    assert found.loss == pytest.approx(loss)
    assert found.metrics == pytest.approx(expected.metrics)
    assert found.score == found.metrics[split.score]


@pytest.mark.parametrize(
    ("split", "names"),
    [
        (SPLITS[0], {"accuracy", "macro_f1", "matthews"}),
        (SPLITS[1], {"accuracy", "macro_f1"}),
        (SPLITS[2], {"spearman", "pearson"}),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_kind_has_its_metrics(split: TokenisedSplit, names: set[str]) -> None:
    """Whichever is the score, the others are there by their own names; the negated loss may be it, too."""
    outputs = torch.randn(4, outputs_of(split), generator=torch.Generator().manual_seed(0))
    assert set(from_outputs(outputs, split, loss=0.3).metrics) == names
    negated = TokenisedSplit(split.ids, split.labels, split.kind, ScoreMetric.NEGATIVE_LOSS)
    assert from_outputs(outputs, negated, loss=0.3).score == -0.3


def test_perfect_outputs_score_one() -> None:
    """In every kind and metric."""
    right = [
        torch.eye(3)[[0, 1, 2, 1]],
        torch.tensor(SPLITS[1].labels) - 0.5,
        torch.tensor([SPLITS[2].labels]).T * 3 + 7,
    ]
    for split, outputs in zip(SPLITS, right, strict=True):
        found = from_outputs(outputs.float(), split, loss=0.0)
        assert list(found.metrics.values()) == pytest.approx([1.0] * len(found.metrics))
        assert not found.collapsed


def test_a_constant_prediction_is_called_collapsed() -> None:
    """Half right by luck is no score to believe."""
    split = TokenisedSplit(IDS, (0, 1, 0, 1))
    found = from_outputs(torch.tensor([[1.0, 0.0]]).repeat(4, 1), split, loss=0.7)
    assert (found.score, found.collapsed) == (0.5, True)
    assert found.metrics["matthews"] == 0.0
