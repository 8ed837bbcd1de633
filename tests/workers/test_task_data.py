"""Splits that nothing can move, and batches that lose nothing."""

import pytest
import torch

from api_schemas.trial_configuration import Task
from service import catalogue
from workers.errors import TaskDataError
from workers.resident import ResidentParts
from workers.task_data import (
    Row,
    TokenisedSplit,
    evaluation_batches,
    micro_batches,
    pad,
    read_rows,
    split_rows,
    take,
    tokenise_task,
    training_batches,
)

CPU = torch.device("cpu")
SPLIT = TokenisedSplit(
    ids=tuple(tuple(range(1, 2 + n % 7)) for n in range(50)), labels=tuple(n % 2 for n in range(50))
)


def test_more_rows_than_there_are_is_an_error() -> None:
    """The message names the split and both numbers."""
    with pytest.raises(TaskDataError, match="validation split has 1 rows; 2 were asked for"):
        take([Row("a", 0)], 2, split="validation")


def test_splits_are_disjoint_stratified_and_complete() -> None:
    """Every text is in exactly one split, in the proportion of its label."""
    rows = read_rows("rotten-tomatoes")
    splits = split_rows(rows)
    texts = [row.text for split in splits for row in split]
    assert sorted(texts) == sorted({row.text for row in rows})
    assert [len(split) for split in splits] == [6398, 1066, 1066]
    assert all(sum(row.label for row in split) * 2 == len(split) for split in splits)


def test_the_facts_of_the_catalogue_are_true() -> None:
    """What the API promises about a task's size is what the worker finds."""
    for name, facts in catalogue.TASKS.items():
        splits = split_rows(read_rows(name))
        assert tuple(len(split) for split in splits) == facts.split_rows


def test_the_order_of_the_file_does_not_matter() -> None:
    """Splits follow from the texts alone."""
    rows = [Row(f"text {n}", n % 2) for n in range(40)]
    assert split_rows(rows) == split_rows(rows[::-1])


def test_fewer_rows_are_a_balanced_part_of_more() -> None:
    """Asking for less moves no row to another split and keeps the labels' shares."""
    train, _, _ = split_rows(read_rows("rotten-tomatoes"))
    few, more = take(train, 100, split="train"), take(train, 400, split="train")
    assert set(few) <= set(more)
    assert sum(row.label for row in few) == 50


def test_an_epoch_gives_every_row_once() -> None:
    """Bucketing by length drops and repeats nothing."""
    seen = [
        tuple(ids[mask.bool()].tolist())
        for batch in training_batches(SPLIT, batch_size=4, pad_id=0, seed=0, epoch=1, device=CPU)
        for ids, mask in zip(batch.ids, batch.mask, strict=True)
    ]
    assert sorted(seen) == sorted(SPLIT.ids)


def test_the_order_depends_on_seed_and_epoch() -> None:
    """Equal seeds repeat themselves; another epoch is shuffled anew."""

    def order(seed: int, epoch: int) -> list[list[int]]:
        batches = training_batches(SPLIT, batch_size=4, pad_id=0, seed=seed, epoch=epoch, device=CPU)
        return [batch.ids.tolist() for batch in batches]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def test_evaluation_tells_which_rows_a_batch_holds() -> None:
    """Positions come with the batch, for it is sorted by length."""
    for positions, batch in evaluation_batches(SPLIT, batch_size=8, pad_id=0, device=CPU):
        assert batch.labels.tolist() == [SPLIT.labels[position] for position in positions]


def test_long_texts_are_evaluated_in_smaller_batches() -> None:
    """No batch of several rows passes the token limit; every row comes once."""
    lengths = [5, 9000, 7000, 6000, 30, 20000]
    split = TokenisedSplit(ids=tuple((1,) * length for length in lengths), labels=(0,) * 6)
    found = list(evaluation_batches(split, batch_size=4, pad_id=0, device=CPU))
    assert sorted(position for positions, _ in found for position in positions) == list(range(6))
    assert all(len(positions) == 1 or batch.ids.numel() <= 16384 for positions, batch in found)
    assert len(found) < 6


@pytest.mark.parametrize(("tokens", "rows"), [(None, [4]), (12, [2, 2]), (18, [3, 1]), (1, [1, 1, 1, 1])])
def test_a_batch_is_cut_by_tokens(tokens: int | None, rows: list[int]) -> None:
    """Parts hold every row once, in order, and at least one row each."""
    split = TokenisedSplit(ids=((1, 2), (3,), (4, 5, 6), (7, 8, 9, 1, 2, 3)), labels=(0, 1, 0, 1))
    batch = pad(split, [0, 1, 2, 3], pad_id=0, device=CPU)
    parts = list(micro_batches(batch, tokens=tokens))
    assert [len(part.labels) for part in parts] == rows
    assert torch.equal(torch.cat([part.ids for part in parts]), batch.ids)


def test_texts_are_cut_and_their_hash_is_recorded(resident: ResidentParts) -> None:
    """No text is longer than asked for; other rows give another hash."""
    tokenizer = resident.backbone("all-MiniLM-L6-v2").tokenizer
    few = Task(name="rotten-tomatoes", train_rows=8, validation_rows=8, test_rows=8)
    more = few.model_copy(update={"train_rows": 9})
    first, again, other = (tokenise_task(task, tokenizer, max_length=12) for task in (few, few, more))
    assert max(len(ids) for ids in first.train.ids) <= 12
    assert first.sha256 == again.sha256 != other.sha256
