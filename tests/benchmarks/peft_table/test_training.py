"""How a task's rows are dealt out by seed."""

from collections import Counter
from collections.abc import Sequence

import torch

from benchmarks.autopeft.protocol import TRAIN_ROWS
from benchmarks.peft_table.training import POOL_ROWS, partition, rows_of
from workers.data.task_data import FrozenActivations, TokenisedSplit, TokenisedTask
from workers.saving.predictions import AnswerForm

LABELS = [row % 3 for row in range(POOL_ROWS)]


def task(labels: Sequence[int] = LABELS) -> TokenisedTask:
    """Return a task whose rows are told apart by their only token."""
    pool = TokenisedSplit(ids=tuple((row,) for row in range(len(labels))), labels=tuple(labels))
    held_out = TokenisedSplit(ids=((9999,),), labels=(0,))
    answers = AnswerForm(labels=("a", "b", "c"))
    return TokenisedTask(answers, train=pool, validation=held_out, test=held_out, dropped={}, sha256="")


def test_every_row_of_the_pool_trains_or_validates() -> None:
    """Never both, and none is lost; test rows are left alone."""
    whole = task()
    dealt = partition(whole, seed=1)
    assert len(dealt.train) == TRAIN_ROWS
    assert sorted(dealt.train.ids + dealt.validation.ids) == sorted(whole.train.ids)
    assert dealt.test == whole.test


def test_labels_keep_their_shares() -> None:
    """Both parts are as balanced as the pool."""
    counts = Counter(partition(task(), seed=0).train.labels)
    assert max(counts.values()) - min(counts.values()) <= 1


def test_a_seed_always_deals_the_same_and_another_seed_differently() -> None:
    """Or replicates would repeat their partition."""
    assert partition(task(), seed=2).validation == partition(task(), seed=2).validation
    assert partition(task(), seed=2).validation.ids != partition(task(), seed=1).validation.ids


def test_a_part_reads_its_own_rows_of_the_kept_activations() -> None:
    """They are shared, so every partition has them."""
    hidden = torch.arange(6.0).reshape(6, 1)
    kept = FrozenActivations(2, hidden, starts=(0, 1, 3), lengths=(1, 2, 3))
    split = TokenisedSplit(ids=((1,), (1, 2), (1, 2, 3)), labels=(0, 1, 0), activations=kept)
    part = rows_of(split, [2, 0]).activations
    assert part is not None
    assert part.padded([0]).flatten().tolist() == [3.0, 4.0, 5.0]
    assert part.hidden is hidden
