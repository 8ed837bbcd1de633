"""The probe tells features that hold the answer from features that do not."""

import pytest
import torch

from api_schemas.tasks import TaskKind
from workers.architecture.linear_probe import unexplained
from workers.data.task_data import TokenisedSplit

ROWS = 60


def split(labels: list[object], kind: TaskKind) -> TokenisedSplit:
    return TokenisedSplit(ids=((1,),) * ROWS, labels=tuple(labels), kind=kind)  # type: ignore[arg-type]


def noise(columns: int) -> torch.Tensor:
    return torch.randn(ROWS, columns, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        (TaskKind.CLASSIFICATION, [row % 2 for row in range(ROWS)]),
        (TaskKind.MULTI_LABEL, [(row % 2, 1 - row % 2) for row in range(ROWS)]),
        (TaskKind.REGRESSION, [float(row % 2) for row in range(ROWS)]),
    ],
    ids=["classes", "labels", "values"],
)
def test_a_feature_that_is_the_answer_explains_it(kind: TaskKind, labels: list[object]) -> None:
    """Of every kind of task, among features that are noise."""
    answer = torch.tensor([[float(row % 2)] for row in range(ROWS)])
    assert unexplained(torch.cat([answer, noise(5)], dim=1), split(labels, kind)) < 0.01


def test_a_single_row_explains_nothing() -> None:
    """There is no other to fit a head to."""
    alone = TokenisedSplit(ids=((1,),), labels=(0.5,), kind=TaskKind.REGRESSION)
    assert unexplained(torch.ones(1, 4), alone) == 1.0


def test_features_of_noise_explain_nothing() -> None:
    """Even as many as there are rows: each row is predicted by a head that has not seen it."""
    labels = [row % 2 for row in range(ROWS)]
    assert unexplained(noise(ROWS), split(list(labels), TaskKind.CLASSIFICATION)) > 0.9


def test_it_is_what_refitting_without_each_row_gives() -> None:
    """The closed form stands for as many fits as there are rows, for the best penalty."""
    features = noise(3).double()
    values = features @ torch.tensor([1.0, -2.0, 0.5]).double() + noise(1)[:, 0].double()
    standard = (features - features.mean(dim=0)) / features.std(dim=0)
    ones = torch.ones(ROWS, 1, dtype=torch.float64)
    design = torch.cat([ones, standard], dim=1)
    errors = []
    for power in range(-3, 4):
        penalty = 10.0**power * ROWS * torch.diag(torch.tensor([0.0, 1, 1, 1], dtype=torch.float64))
        hat = design @ torch.linalg.solve(design.T @ design + penalty, design.T)
        errors.append(((values - hat @ values) / (1 - hat.diagonal())).square().sum())
    total = ((values - values.mean()) * ROWS / (ROWS - 1)).square().sum()
    expected = float(min(errors) / total)
    assert unexplained(features, split(values.tolist(), TaskKind.REGRESSION)) == pytest.approx(expected)
