"""Rows, splits and batches of a task. Deterministic: no seed moves a row from one split to another.

A text's place follows from its hash, label by label, so the splits are stratified, do not depend on
the order of the file, and stay the same when a study asks for fewer rows.
"""

import csv
import hashlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from api_schemas.trial_configuration import Task
from service import catalogue
from workers.errors import TaskDataError
from workers.frozen_activations import FrozenActivations

csv.field_size_limit(10_000_000)

HELD_OUT_SHARE = 8
"""One text in eight is for validation and one in eight for the final test."""

BUCKETED_BATCHES = 8
"""Batches whose texts are sorted by length together, so that little is padded and order stays random."""


EVALUATION_TOKENS = 16384
"""The most tokens in a batch without gradients, padding included."""


@dataclass(frozen=True)
class Row:
    """A text and the number of its label."""

    text: str
    label: int


@dataclass(frozen=True)
class TokenisedSplit:
    """Unpadded token ids and label numbers, in a fixed order; maybe with what frozen layers make of them."""

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[int, ...]
    activations: FrozenActivations | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class TokenisedTask:
    """The three splits of a task as one configuration uses them."""

    labels: tuple[str, ...]
    train: TokenisedSplit
    validation: TokenisedSplit
    test: TokenisedSplit
    sha256: str


@dataclass(frozen=True)
class Batch:
    """Padded token ids, the mask of real tokens, and label numbers, on a device.

    With `hidden`, the input of layer `start`, the layers below need not be run.
    """

    ids: Int[Tensor, "n t"]
    mask: Int[Tensor, "n t"]
    labels: Int[Tensor, " n"]
    hidden: Float[Tensor, "n t h"] | None = None
    start: int = 0


def read_rows(name: str) -> list[Row]:
    """Read the rows of a task, without empty texts and without repeated ones.

    A text that stands twice counts once; one that stands with two labels is left out.
    """
    facts = catalogue.task_facts(name)
    found: dict[str, set[int]] = {}
    with catalogue.task_file(name).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            text = row["text"].strip()
            if row["source"] == facts.source and text:
                found.setdefault(text, set()).add(int(row["label"]))
    return [Row(text, labels.pop()) for text, labels in found.items() if len(labels) == 1]


def split_rows(rows: Sequence[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """Split into train, validation and test, label by label, by the hash of the text."""
    train: list[Row] = []
    validation: list[Row] = []
    test: list[Row] = []
    for label in sorted({row.label for row in rows}):
        of_label = sorted((row for row in rows if row.label == label), key=_hash_of_text)
        held_out = len(of_label) // HELD_OUT_SHARE
        test.extend(of_label[:held_out])
        validation.extend(of_label[held_out : 2 * held_out])
        train.extend(of_label[2 * held_out :])
    return tuple(sorted(split, key=_hash_of_text) for split in (train, validation, test))  # type: ignore[return-value]


def take(rows: Sequence[Row], count: int | None, *, split: str) -> list[Row]:
    """Take the first rows of each label in turn, so that a part is as balanced as the whole.

    Raises:
        TaskDataError: If the split has fewer rows.
    """
    if count is None:
        return list(rows)
    if count > len(rows):
        raise TaskDataError(f"The {split} split has {len(rows)} rows; {count} were asked for.")
    by_label: dict[int, list[Row]] = {}
    for row in rows:
        by_label.setdefault(row.label, []).append(row)
    ranked = sorted(
        (
            (position / len(of_label), label, row)
            for label, of_label in by_label.items()
            for position, row in enumerate(of_label)
        ),
        key=lambda item: item[:2],
    )
    return [row for _, _, row in ranked[:count]]


def tokenise_task(task: Task, tokenizer: Any, *, max_length: int) -> TokenisedTask:
    """Read, split, cut and tokenise a task.

    Raises:
        TaskDataError: If a split has fewer rows than asked for.
    """
    train, validation, test = split_rows(read_rows(task.name))
    parts = {
        "train": take(train, task.train_rows, split="train"),
        "validation": take(validation, task.validation_rows, split="validation"),
        "test": take(test, task.test_rows, split="test"),
    }
    digest = hashlib.sha256()
    for name, rows in parts.items():
        digest.update(name.encode())
        for row in rows:
            digest.update(f"{row.label}\t{row.text}\n".encode())
    return TokenisedTask(
        labels=catalogue.task_facts(task.name).labels,
        sha256=digest.hexdigest(),
        **{name: tokenise(rows, tokenizer, max_length=max_length) for name, rows in parts.items()},
    )


def tokenise(rows: Sequence[Row], tokenizer: Any, *, max_length: int) -> TokenisedSplit:
    """Turn texts into unpadded token ids, cut at `max_length` tokens."""
    encoded = tokenizer([row.text for row in rows], truncation=True, max_length=max_length)["input_ids"]
    return TokenisedSplit(ids=tuple(tuple(ids) for ids in encoded), labels=tuple(row.label for row in rows))


def training_batches(
    split: TokenisedSplit, *, batch_size: int, pad_id: int, seed: int, epoch: int, device: torch.device
) -> Iterator[Batch]:
    """Give one epoch in batches of similar length. The order depends on seed and epoch only."""
    shuffler = random.Random(f"{seed}/{epoch}")  # noqa: S311  an order, not a secret
    order = list(range(len(split)))
    shuffler.shuffle(order)
    window = batch_size * BUCKETED_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        bucket = sorted(order[start : start + window], key=lambda position: len(split.ids[position]))
        batches.extend(bucket[first : first + batch_size] for first in range(0, len(bucket), batch_size))
    shuffler.shuffle(batches)
    for positions in batches:
        yield pad(split, positions, pad_id=pad_id, device=device)


def micro_batches(batch: Batch, *, tokens: int | None) -> Iterator[Batch]:
    """Cut a batch into parts of at most so many tokens, padding included, but at least one row each."""
    rows, longest = batch.mask.shape
    at_once = rows if tokens is None else max(1, tokens // longest)
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        hidden = None if batch.hidden is None else batch.hidden[part]
        yield Batch(batch.ids[part], batch.mask[part], batch.labels[part], hidden=hidden, start=batch.start)


def evaluation_batches(
    split: TokenisedSplit, *, batch_size: int, pad_id: int, device: torch.device
) -> Iterator[tuple[list[int], Batch]]:
    """Give every row once, sorted by length; with each batch the positions of its rows.

    A batch has at most `batch_size` rows and, if it has more than one, at most `EVALUATION_TOKENS` tokens.
    """
    order = sorted(range(len(split)), key=lambda position: (len(split.ids[position]), position))
    positions: list[int] = []
    for position in order:
        tokens = (len(positions) + 1) * len(split.ids[position])
        if positions and (len(positions) == batch_size or tokens > EVALUATION_TOKENS):
            yield positions, pad(split, positions, pad_id=pad_id, device=device)
            positions = []
        positions.append(position)
    yield positions, pad(split, positions, pad_id=pad_id, device=device)


def pad(split: TokenisedSplit, positions: Sequence[int], *, pad_id: int, device: torch.device) -> Batch:
    """Pad rows on the right to the longest of them."""
    longest = max(len(split.ids[position]) for position in positions)
    ids = torch.full((len(positions), longest), pad_id, dtype=torch.long)
    for row, position in enumerate(positions):
        tokens = split.ids[position]
        ids[row, : len(tokens)] = torch.tensor(tokens)
    labels = torch.tensor([split.labels[position] for position in positions]).to(device)
    kept = split.activations
    if kept is None:
        lengths = [len(split.ids[position]) for position in positions]
        return Batch(ids=ids.to(device), mask=_mask(lengths).to(device), labels=labels)
    mask = _mask([kept.lengths[position] for position in positions]).to(device)
    return Batch(ids.to(device), mask, labels, hidden=kept.padded(positions), start=kept.layer)


def _mask(lengths: Sequence[int]) -> Int[Tensor, "n t"]:
    return (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()


def _hash_of_text(row: Row) -> str:
    return hashlib.sha256(row.text.encode()).hexdigest()
