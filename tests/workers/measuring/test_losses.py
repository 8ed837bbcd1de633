"""The loss of each kind of label against its formula."""

import math

import pytest
import torch

from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Distillation
from workers.measuring.losses import distilled_loss, mean_loss, row_losses


def test_several_labels_need_a_target_for_each() -> None:
    """A shape that does not fit is an error, not a broadcast."""
    with pytest.raises(ValueError, match="size"):
        mean_loss(torch.zeros(4, 3), torch.zeros(4, 1), kind=TaskKind.MULTI_LABEL)


def test_cross_entropy_of_no_opinion_is_the_logarithm_of_the_classes() -> None:
    """Every class gets 1/3."""
    loss = mean_loss(torch.zeros(5, 3), torch.tensor([0, 1, 2, 0, 1]), kind=TaskKind.CLASSIFICATION)
    assert loss.item() == pytest.approx(math.log(3))


def test_several_labels_are_as_many_yes_or_no_questions() -> None:
    """Mean over rows and labels of -log sigmoid(x) where it applies and -log sigmoid(-x) elsewhere."""
    outputs, labels = torch.tensor([[1.0, -2.0], [0.5, 0.0]]), torch.tensor([[1, 0], [0, 1]])
    signs = [[1.0, -1.0], [-1.0, 1.0]]
    expected = [
        math.log1p(math.exp(-sign * value))
        for row, of_row in zip(outputs.tolist(), signs, strict=True)
        for value, sign in zip(row, of_row, strict=True)
    ]
    assert mean_loss(outputs, labels, kind=TaskKind.MULTI_LABEL).item() == pytest.approx(sum(expected) / 4)


def test_a_value_is_trained_with_the_squared_error() -> None:
    """(1² + 2²) / 2; the answer 0 to standardised labels costs 1."""
    outputs = torch.tensor([[1.0], [4.0]])
    assert mean_loss(outputs, torch.tensor([0.0, 2.0]), kind=TaskKind.REGRESSION).item() == 2.5
    assert mean_loss(torch.zeros(2, 1), torch.tensor([-1.0, 1.0]), kind=TaskKind.REGRESSION).item() == 1.0


def test_the_precision_of_the_network_is_kept() -> None:
    """Labels take the outputs' type, so a double-precision network has a double-precision loss."""
    for kind, labels in ((TaskKind.MULTI_LABEL, torch.ones(2, 1)), (TaskKind.REGRESSION, torch.ones(2))):
        assert mean_loss(torch.zeros(2, 1, dtype=torch.float64), labels, kind=kind).dtype == torch.float64


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (TaskKind.CLASSIFICATION, torch.tensor([0, 2, 1, 1])),
        (TaskKind.MULTI_LABEL, torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1]])),
        (TaskKind.REGRESSION, torch.tensor([0.5, -1.0, 2.0, 0.0])),
    ],
)
def test_the_mean_over_rows_is_the_loss_of_the_batch(kind: TaskKind, labels: torch.Tensor) -> None:
    """A row's loss is what it has alone in a batch."""
    outputs = torch.randn(4, 1 if kind is TaskKind.REGRESSION else 3, dtype=torch.double)
    of_rows = row_losses(outputs, labels, kind=kind)
    assert of_rows.mean().item() == pytest.approx(mean_loss(outputs, labels, kind=kind).item(), abs=1e-14)
    alone = [mean_loss(outputs[row : row + 1], labels[row : row + 1], kind=kind).item() for row in range(4)]
    assert of_rows.tolist() == pytest.approx(alone, abs=1e-14)


LABELS = {
    TaskKind.CLASSIFICATION: torch.tensor([0, 1]),
    TaskKind.MULTI_LABEL: torch.tensor([[1, 0], [0, 1]]),
    TaskKind.REGRESSION: torch.tensor([0.5, -1.0]),
}
STUDENT = torch.tensor([[1.0, -2.0], [0.5, 0.0]])
TEACHER = torch.tensor([[3.0, 1.0], [-1.0, 2.0]])


def distance(kind: TaskKind, T: float) -> float:
    """Write out the mean over rows of T^2 sum p log(p / q), or of the squared difference."""

    def of_two(student: float, teacher: float) -> float:
        q, p = 1 / (1 + math.exp(-student / T)), 1 / (1 + math.exp(-teacher / T))
        return T**2 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))

    pairs = list(zip(STUDENT.tolist(), TEACHER.tolist(), strict=True))
    if kind is TaskKind.REGRESSION:
        return sum((student[0] - teacher[0]) ** 2 for student, teacher in pairs) / 2
    if kind is TaskKind.MULTI_LABEL:
        each = [of_two(s, t) for student, teacher in pairs for s, t in zip(student, teacher, strict=True)]
        return sum(each) / 4
    return sum(of_two(student[0] - student[1], teacher[0] - teacher[1]) for student, teacher in pairs) / 2


@pytest.mark.parametrize("kind", list(TaskKind))
@pytest.mark.parametrize(("weight", "T"), [(1.0, 1.0), (0.3, 4.0)])
def test_a_teacher_pulls_with_its_weight(kind: TaskKind, weight: float, T: float) -> None:
    """(1 - w) of the task's loss and w of the distance, in closed form."""
    columns = 1 if kind is TaskKind.REGRESSION else 2
    student, teacher = STUDENT[:, :columns], TEACHER[:, :columns]
    how = Distillation(weight=weight, temperature=T)
    found = distilled_loss(student, LABELS[kind], teacher, kind=kind, how=how).item()
    own = mean_loss(student, LABELS[kind], kind=kind).item()
    assert found == pytest.approx((1 - weight) * own + weight * distance(kind, T), rel=1e-5)


@pytest.mark.parametrize("kind", list(TaskKind))
def test_a_student_that_answers_as_its_teacher_has_nothing_to_learn(kind: TaskKind) -> None:
    """With weight 1 the loss is zero, whatever the labels say."""
    outputs = STUDENT[:, :1] if kind is TaskKind.REGRESSION else STUDENT
    how = Distillation(weight=1.0, temperature=3.0)
    assert distilled_loss(outputs, LABELS[kind], outputs, kind=kind, how=how).item() == pytest.approx(0.0)
