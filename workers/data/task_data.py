"""A task as tokens, and its batches. Knows nothing about where rows come from and how they are split.

With folds, the rows to train and to validate on are tokenised once, and each training seed sees its part.
"""

import hashlib
import random
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from api_schemas.tasks import ScoreMetric, Task, TaskKind
from service.catalogue.tasks.facts import TaskData
from service.catalogue.tasks.folds import partition
from service.catalogue.tasks.rows import Label, Row
from service.catalogue.tasks.sources import load_task
from service.catalogue.tasks.splits import SPLITS, take
from service.errors import InvalidTask
from workers.data.text_beginnings import beginnings, first_try
from workers.errors import TaskDataError
from workers.saving.predictions import AnswerForm
from workers.spans import tracer

BUCKETED_BATCHES = 8
"""Batches whose texts are sorted by length together, so that little is padded and order stays random."""

PARTITIONS_KEPT = 2
"""Of how many training seeds the rows of folds are kept apart; the tokens are kept once."""

EVALUATION_TOKENS = 16384
"""The most tokens in a batch without gradients, padding included."""


@dataclass(frozen=True)
class FrozenActivations:
    """Inputs of one layer for the rows of a split, without padding.

    `layer` equal to the number of layers means the pooled output, one token a row.
    """

    layer: int
    hidden: Float[Tensor, "tokens h"]
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    def padded(self, positions: Sequence[int]) -> Float[Tensor, "n t h"]:
        """Return rows padded on the right with values that the mask hides."""
        longest = max(self.lengths[position] for position in positions)
        index = torch.zeros(len(positions), longest, dtype=torch.long)
        for row, position in enumerate(positions):
            length = self.lengths[position]
            index[row, :length] = torch.arange(self.starts[position], self.starts[position] + length)
        return self.hidden[index.to(self.hidden.device)]

    def at(self, positions: Sequence[int]) -> "FrozenActivations":
        """Return the same tensor for some of the rows."""
        return replace(
            self,
            starts=tuple(self.starts[position] for position in positions),
            lengths=tuple(self.lengths[position] for position in positions),
        )


@dataclass(frozen=True)
class TokenisedSplit:
    """Unpadded token ids and targets, in a fixed order; what the targets are, and how they are scored.

    `activations` are the outputs of frozen layers for these rows, if they are kept.
    """

    ids: tuple[tuple[int, ...], ...]
    labels: tuple[Label, ...]
    """Numbers of classes, standardised values, or a 0 or 1 for each label."""
    kind: TaskKind = TaskKind.CLASSIFICATION
    score: ScoreMetric = ScoreMetric.ACCURACY
    activations: FrozenActivations | None = None
    teacher: Float[Tensor, "n c"] | None = None
    """What the teacher of a trial answers for these rows, if it has one."""

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Pool:
    """Rows that are dealt into folds, and at which positions those are that one partition uses."""

    rows: TokenisedSplit
    train: tuple[int, ...]
    validation: tuple[int, ...]


@dataclass(frozen=True)
class TokenisedTask:
    """The three splits of a task as one configuration uses them; `dropped` counts rows left out.

    With folds, train and validation are parts of the `pool`, which is the same for every seed.
    """

    answers: AnswerForm
    train: TokenisedSplit
    validation: TokenisedSplit
    test: TokenisedSplit
    dropped: Mapping[str, int]
    sha256: str
    pool: Pool | None = None


Partitions = Callable[[int], TokenisedTask]
"""Gets a training seed, by which folds are dealt; returns the task as a trial with this seed uses it."""


@dataclass(frozen=True)
class Batch:
    """Padded token ids, the mask of real tokens, and targets, on a device.

    With `hidden`, the input of layer `start`, the layers below need not be run.
    """

    ids: Int[Tensor, "n t"]
    mask: Int[Tensor, "n t"]
    labels: Shaped[Tensor, "n ..."]
    hidden: Float[Tensor, "n t h"] | None = None
    start: int = 0
    teacher: Float[Tensor, "n c"] | None = None


@tracer.start_as_current_span("tokenise")
def tokenise_task(task: Task, tokenizer: Any, *, max_length: int, data_dir: Path | None) -> Partitions:
    """Read, split, cut and tokenise a task; without folds, every seed gets the same rows.

    Raises:
        TaskDataError: If its data cannot be used, or a split has fewer rows than asked for.
        service.errors.UnknownTask: If this machine does not have it.
    """
    try:
        data = load_task(task, data_dir=data_dir)
    except InvalidTask as error:
        raise TaskDataError(error.detail) from error
    rows = {split: _first(data, split, getattr(task, f"{split}_rows")) for split in SPLITS}
    as_tokens = partial(
        tokenise, tokenizer=tokenizer, max_length=max_length, kind=data.facts.kind, score=task.resolved_score
    )
    if task.folds is None:
        tokens = {split: as_tokens(of_split) for split, of_split in rows.items()}
        whole = _assembled(data, rows, tokens, pool=None)
        return lambda _seed: whole
    pool = [*rows["train"], *rows["validation"]]
    dealt = partial(
        _dealt, data, pool, rows["test"], as_tokens(pool), as_tokens(rows["test"]), folds=task.folds
    )
    return lru_cache(maxsize=PARTITIONS_KEPT)(dealt)


def _dealt(
    data: TaskData,
    pool: Sequence[Row],
    test: Sequence[Row],
    pool_tokens: TokenisedSplit,
    test_tokens: TokenisedSplit,
    seed: int,
    *,
    folds: int,
) -> TokenisedTask:
    """Return the partition of a seed: one fold to validate on, the others to train on."""
    train, validation = partition(pool, kind=data.facts.kind, folds=folds, seed=seed)
    parts = {"train": train, "validation": validation}
    return _assembled(
        data,
        {**{split: [pool[at] for at in positions] for split, positions in parts.items()}, "test": test},
        {
            **{split: _part(pool_tokens, positions) for split, positions in parts.items()},
            "test": test_tokens,
        },
        pool=Pool(pool_tokens, train, validation),
    )


def _assembled(
    data: TaskData,
    rows: Mapping[str, Sequence[Row]],
    tokens: Mapping[str, TokenisedSplit],
    *,
    pool: Pool | None,
) -> TokenisedTask:
    """Return a task from the rows of its splits and their tokens; training rows set the scale of values."""
    facts = data.facts
    mean, standard_deviation = label_scale(rows["train"]) if facts.kind is TaskKind.REGRESSION else (0.0, 1.0)
    answers = AnswerForm(
        kind=facts.kind,
        labels=facts.labels,
        mean=mean,
        standard_deviation=standard_deviation,
        takes_pairs=facts.takes_pairs,
    )
    splits = {
        split: replace(of_split, labels=tuple(_target(label, answers) for label in of_split.labels))
        for split, of_split in tokens.items()
    }
    return TokenisedTask(answers=answers, dropped=data.dropped, sha256=_sha256(rows), pool=pool, **splits)


def _part(split: TokenisedSplit, positions: Sequence[int]) -> TokenisedSplit:
    return replace(
        split,
        ids=tuple(split.ids[position] for position in positions),
        labels=tuple(split.labels[position] for position in positions),
    )


def label_scale(rows: Sequence[Row]) -> tuple[float, float]:
    """Return mean and standard deviation of the rows' values; 1 where all values are the same."""
    values = [float(row.label) for row in rows if not isinstance(row.label, tuple)]
    return statistics.fmean(values), statistics.pstdev(values) or 1.0


def tokenise(
    rows: Sequence[Row],
    tokenizer: Any,
    *,
    max_length: int,
    kind: TaskKind = TaskKind.CLASSIFICATION,
    score: ScoreMetric = ScoreMetric.ACCURACY,
) -> TokenisedSplit:
    """Turn texts, or pairs of them, into unpadded token ids, cut at `max_length` tokens.

    Of a pair the longer text is cut first; where both are longer than the length, the one odd token
    goes to that of which more was read. The labels of the rows are the targets.
    """
    rows = [_readable(row) for row in rows]
    pairs = bool(rows) and rows[0].pair is not None
    ids = (_ids_of_pairs if pairs else _ids_of_texts)(rows, tokenizer, max_length=max_length)
    return TokenisedSplit(ids=tuple(ids), labels=tuple(row.label for row in rows), kind=kind, score=score)


def training_batches(
    split: TokenisedSplit, *, batch_size: int, pad_id: int, seed: int, epoch: int, device: torch.device
) -> Iterator[Batch]:
    """Yield one epoch in batches of similar length. The order depends on seed and epoch only."""
    for positions in training_order(split, batch_size=batch_size, seed=seed, epoch=epoch):
        yield pad(split, positions, pad_id=pad_id, device=device)


def training_order(split: TokenisedSplit, *, batch_size: int, seed: int, epoch: int) -> list[list[int]]:
    """Return the positions of the rows of each batch of an epoch; one may be shorter."""
    shuffler = random.Random(f"{seed}/{epoch}")  # noqa: S311  an order, not a secret
    order = list(range(len(split)))
    shuffler.shuffle(order)
    window = batch_size * BUCKETED_BATCHES
    batches: list[list[int]] = []
    for start in range(0, len(order), window):
        bucket = sorted(order[start : start + window], key=lambda position: len(split.ids[position]))
        batches.extend(bucket[first : first + batch_size] for first in range(0, len(bucket), batch_size))
    shuffler.shuffle(batches)
    return batches


def micro_batches(batch: Batch, *, tokens: int | None) -> Iterator[Batch]:
    """Cut a batch into parts of at most so many tokens, padding included, but at least one row each."""
    rows, longest = batch.mask.shape
    at_once = rows if tokens is None else max(1, tokens // longest)
    for start in range(0, rows, at_once):
        part = slice(start, start + at_once)
        yield replace(
            batch,
            ids=batch.ids[part],
            mask=batch.mask[part],
            labels=batch.labels[part],
            hidden=None if batch.hidden is None else batch.hidden[part],
            teacher=None if batch.teacher is None else batch.teacher[part],
        )


def evaluation_batches(
    split: TokenisedSplit, *, batch_size: int, pad_id: int, device: torch.device
) -> Iterator[tuple[list[int], Batch]]:
    """Yield every row once, sorted by length; with each batch the positions of its rows.

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
    if positions:
        yield positions, pad(split, positions, pad_id=pad_id, device=device)


def pad(split: TokenisedSplit, positions: Sequence[int], *, pad_id: int, device: torch.device) -> Batch:
    """Pad rows on the right to the longest of them."""
    longest = max(len(split.ids[position]) for position in positions)
    ids = torch.full((len(positions), longest), pad_id, dtype=torch.long)
    for row, position in enumerate(positions):
        tokens = split.ids[position]
        ids[row, : len(tokens)] = torch.tensor(tokens)
    labels = torch.tensor([split.labels[position] for position in positions]).to(device)
    teacher = None if split.teacher is None else split.teacher[list(positions)].to(device)
    kept = split.activations
    if kept is None:
        lengths = [len(split.ids[position]) for position in positions]
        return Batch(ids.to(device), _mask(lengths).to(device), labels, teacher=teacher)
    mask = _mask([kept.lengths[position] for position in positions]).to(device)
    hidden = kept.padded(positions)
    return Batch(ids.to(device), mask, labels, hidden=hidden, start=kept.layer, teacher=teacher)


def _mask(lengths: Sequence[int]) -> Int[Tensor, "n t"]:
    return (torch.arange(max(lengths)) < torch.tensor(lengths).unsqueeze(1)).long()


def _readable(row: Row) -> Row:
    """Replace halves of surrogate pairs, which no tokenizer reads, by the replacement character."""
    texts = (row.text, row.pair or "")
    if all(text.isascii() for text in texts):
        return row
    text, pair = (text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") for text in texts)
    return row if (text, pair) == texts else replace(row, text=text, pair=None if row.pair is None else pair)


def _ids_of_texts(rows: Sequence[Row], tokenizer: Any, *, max_length: int) -> list[tuple[int, ...]]:
    short = [first_try(row.text, max_length=max_length) for row in rows]
    ids = _encoded([part for part, _ in short], None, tokenizer, max_length=max_length)
    # A part with fewer tokens than the length is too short; one cut inside a word may end in another token.
    doubtful = [
        at
        for at, (part, safe) in enumerate(short)
        if part != rows[at].text and (not safe or len(ids[at]) < max_length)
    ]
    enough = beginnings([rows[at].text for at in doubtful], tokenizer, max_length=max_length)
    again = _encoded(enough, None, tokenizer, max_length=max_length)
    for at, of_beginning in zip(doubtful, again, strict=True):
        ids[at] = of_beginning
    return ids


def _ids_of_pairs(rows: Sequence[Row], tokenizer: Any, *, max_length: int) -> list[tuple[int, ...]]:
    # Which text of a pair is cut depends on the length of both: each must fill the length alone.
    texts = beginnings([row.text for row in rows], tokenizer, max_length=max_length)
    others = beginnings([row.pair or "" for row in rows], tokenizer, max_length=max_length)
    return _encoded(texts, others, tokenizer, max_length=max_length)


def _encoded(
    texts: list[str], pairs: list[str] | None, tokenizer: Any, *, max_length: int
) -> list[tuple[int, ...]]:
    if not texts:
        return []
    encoded = tokenizer(texts, pairs, truncation="longest_first", max_length=max_length)["input_ids"]
    # Without special tokens an empty text has no token, and the mean over no token is not a number.
    return [tuple(ids) or (_token_of_nothing(tokenizer),) for ids in encoded]


def _token_of_nothing(tokenizer: Any) -> int:
    special = (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)
    return next((int(token) for token in special if token is not None), 0)


def _first(data: TaskData, split: str, count: int | None) -> list[Row]:
    rows = data.splits[split]
    if count is not None and count > len(rows):
        raise TaskDataError(f"The {split} split has {len(rows)} rows; {count} were asked for.")
    return take(rows, count, kind=data.facts.kind)


def _target(label: Label, answers: AnswerForm) -> Label:
    if isinstance(label, tuple):
        return tuple(int(number in label) for number in range(len(answers.labels)))
    if answers.kind is TaskKind.CLASSIFICATION:
        return label
    return (label - answers.mean) / answers.standard_deviation


def _sha256(rows: Mapping[str, Sequence[Row]]) -> str:
    digest = hashlib.sha256()
    for split, of_split in rows.items():
        digest.update(split.encode())
        for row in of_split:
            text = row.text if row.pair is None else f"{row.text}\t{row.pair}"
            digest.update(f"{row.label}\t{text}\n".encode())
    return digest.hexdigest()
