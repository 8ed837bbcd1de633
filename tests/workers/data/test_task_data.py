"""Tokens that keep what a text begins with, and batches that lose nothing."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from api_schemas.tasks import Task
from service.catalogue.tasks.rows import Row
from service.catalogue.tasks.sources import settled
from workers.data.task_data import (
    TokenisedSplit,
    TokenisedTask,
    evaluation_batches,
    micro_batches,
    pad,
    tokenise,
    tokenise_task,
    training_batches,
)
from workers.data.text_beginnings import CHARACTERS_PER_TOKEN
from workers.errors import TaskDataError
from workers.model_cache import ModelCache

CPU = torch.device("cpu")
SPLIT = TokenisedSplit(
    ids=tuple(tuple(range(1, 2 + n % 7)) for n in range(50)), labels=tuple(n % 2 for n in range(50))
)


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


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return ModelCache(None, device=CPU).backbone("all-MiniLM-L6-v2").tokenizer


def from_file(rows: list[dict[str, object]], tokenizer: Any, folder: Path, **fields: object) -> TokenisedTask:
    (folder / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    task = settled(Task.model_validate({"name": "file:a.jsonl", **fields}), data_dir=folder, tenant_id="me")
    return tokenise_task(task, tokenizer, max_length=12, data_dir=folder)(0)


def test_more_rows_than_there_are_is_an_error(tokenizer: Any) -> None:
    """The message names the split and both numbers."""
    task = Task(name="rotten-tomatoes", validation_rows=2000)
    with pytest.raises(TaskDataError, match="validation split has 1066 rows; 2000 were asked for"):
        tokenise_task(task, tokenizer, max_length=8, data_dir=None)


def test_data_that_cannot_be_used_is_the_configurations_fault(tokenizer: Any, tmp_path: Path) -> None:
    """What the door did not see, say a file that changed, makes the trial infeasible with a reason."""
    with pytest.raises(TaskDataError, match="the one class 'x'"):
        from_file([{"text": str(n), "label": "x"} for n in range(20)], tokenizer, tmp_path)


def test_texts_are_cut_and_their_hash_is_recorded(tokenizer: Any) -> None:
    """No text is longer than asked for; other rows give another hash."""
    few = Task(name="rotten-tomatoes", train_rows=8, validation_rows=8, test_rows=8)
    more = few.model_copy(update={"train_rows": 9})
    first, again, other = (
        tokenise_task(task, tokenizer, max_length=12, data_dir=None)(0) for task in (few, few, more)
    )
    assert max(len(ids) for ids in first.train.ids) <= 12
    assert first.sha256 == again.sha256 != other.sha256


WORDS = st.sampled_from(
    [
        "a",
        "film",
        "unbelievably",
        "x" * 200,
        "  ",
        "\n",
        "\t",
        ".\n",
        "é",
        "你好",
        "哈" * 30,
        "don't",
        "...",
        "🙂",
    ]
)


def byte_level_bpe() -> Any:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.train_from_iterator(
        ["a film, unbelievably long  and  good   don't"] * 5, trainers.BpeTrainer(show_progress=False)
    )
    return PreTrainedTokenizerFast(tokenizer_object=trained)


BYTE_LEVEL_BPE = byte_level_bpe()


@given(st.lists(st.tuples(st.lists(WORDS, max_size=80), st.sampled_from([" ", ""])), min_size=1, max_size=4))
@pytest.mark.parametrize("family", ["word pieces", "byte-level BPE"])
def test_cutting_characters_first_changes_no_token(tokenizer: Any, family: str, texts: list[Any]) -> None:
    """Exactly the tokens of the whole text, also where words are long or there are no spaces."""
    reader = tokenizer if family == "word pieces" else BYTE_LEVEL_BPE
    rows = [Row(space.join(words) or "a", 0) for words, space in texts]
    whole = reader([row.text for row in rows], truncation=True, max_length=8)["input_ids"]
    # A text without a single token has the first of the vocabulary.
    assert tokenise(rows, reader, max_length=8).ids == tuple(tuple(ids) or (0,) for ids in whole)


def test_a_very_long_text_is_not_read_to_its_end(tokenizer: Any) -> None:
    """A million characters cost about what the part costs that is kept."""
    text = "a film of great length " * 50_000
    shown: list[str] = []

    def watched(texts: list[str], *arguments: Any, **options: Any) -> Any:
        shown.extend(texts)
        return tokenizer(texts, *arguments, **options)

    started = time.monotonic()
    split = tokenise([Row(text, 0)], watched, max_length=64)
    assert time.monotonic() - started < 5
    assert len(split.ids[0]) == 64
    assert [len(part) <= 64 * CHARACTERS_PER_TOKEN for part in shown] == [True]


@given(st.lists(st.tuples(*[st.lists(WORDS, max_size=120)] * 2), min_size=1, max_size=4))
@pytest.mark.parametrize("family", ["word pieces", "byte-level BPE"])
@pytest.mark.parametrize("max_length", [9, 10])
def test_cutting_the_characters_of_pairs_first_changes_at_most_one_token(
    tokenizer: Any, family: str, max_length: int, texts: list[Any]
) -> None:
    """The tokens of the whole pair; where both texts are too long, the one odd token may change sides."""
    reader = tokenizer if family == "word pieces" else BYTE_LEVEL_BPE
    rows = [Row(" ".join(one) or "a", 0, " ".join(other) or "b") for one, other in texts]
    limits = {"truncation": "longest_first", "max_length": max_length}
    for row, found in zip(rows, tokenise(rows, reader, max_length=max_length).ids, strict=True):
        whole = tuple(reader([row.text], [row.pair], **limits)["input_ids"][0]) or (0,)
        if found == whole:
            continue
        one, other = (reader(text, add_special_tokens=False)["input_ids"] for text in (row.text, row.pair))
        specials = reader.num_special_tokens_to_add(pair=True)
        half, odd = divmod(max_length - specials, 2)
        assert odd
        assert min(len(one), len(other)) > half
        assert sorted(found) in (
            sorted([*special_ids(reader), *one[: half + more], *other[: half + 1 - more]]) for more in (0, 1)
        )


def special_ids(reader: Any) -> list[int]:
    return [] if reader is BYTE_LEVEL_BPE else [reader.cls_token_id, *[reader.sep_token_id] * 2]


@pytest.mark.parametrize("halves", [(True, False), (False, True), (True, True)])
def test_a_very_long_half_of_a_pair_is_not_read_to_its_end(tokenizer: Any, halves: tuple[bool, bool]) -> None:
    """A hundred thousand characters on either side, or on both."""
    long, short = "a film of great length " * 5_000, "is it good"
    row = Row(long if halves[0] else short, 0, long if halves[1] else short)
    shown: list[str] = []

    def watched(texts: list[str], pairs: Any = None, **options: Any) -> Any:
        shown.extend([*texts, *(pairs or [])])
        return tokenizer(texts, pairs, **options)

    split = tokenise([row], watched, max_length=64)
    assert len(split.ids[0]) == 64
    assert max(map(len, shown)) <= 64 * CHARACTERS_PER_TOKEN


def test_of_a_pair_the_longer_text_is_cut_first(tokenizer: Any) -> None:
    """The question stays whole; both stand between their separators."""
    (ids,) = tokenise([Row("is it good", 0, "a film " * 30)], tokenizer, max_length=12).ids
    words = tokenizer.convert_ids_to_tokens(list(ids))
    assert words == ["[CLS]", "is", "it", "good", "[SEP]", *["a", "film"] * 3, "[SEP]"]


def test_pairs_are_read_from_their_columns(tokenizer: Any, tmp_path: Path) -> None:
    """A row is both texts; the hash of the data covers the second one, too."""
    rows = [{"text": "same?", "other": f"text {n}", "label": n % 2} for n in range(40)]
    task = from_file(rows, tokenizer, tmp_path, text_pair_column="other")
    assert task.answers.takes_pairs
    assert all(ids.count(tokenizer.sep_token_id) == 2 for ids in task.train.ids)
    rows[0]["other"] = "another text"
    assert from_file(rows, tokenizer, tmp_path, text_pair_column="other").sha256 != task.sha256


def test_several_labels_become_a_row_of_zeros_and_ones(tokenizer: Any, tmp_path: Path) -> None:
    """One for each name, in the order of the names."""
    rows = [{"text": f"text {n}", "label": ["b", "c"] if n % 2 else ["a"]} for n in range(40)]
    task = from_file(rows, tokenizer, tmp_path, kind="multi_label")
    assert task.answers.labels == ("a", "b", "c")
    assert set(task.train.labels) == {(1, 0, 0), (0, 1, 1)}
    assert pad(task.train, [0, 1], pad_id=0, device=CPU).labels.shape == (2, 3)


def test_each_seed_has_its_fold_of_tokens_that_are_read_once(tokenizer: Any, tmp_path: Path) -> None:
    """The two seeds of a deal change places, test rows stay, and the hash of the data tells seeds apart."""
    (tmp_path / "a.jsonl").write_text(
        "\n".join(json.dumps({"text": f"text number {n}", "label": n % 2}) for n in range(80))
    )
    posted = Task.model_validate({"name": "file:a.jsonl", "resampling": {"folds": 2}})
    shown: list[str] = []

    def watched(texts: list[str], *arguments: Any, **options: Any) -> Any:
        shown.extend(texts)
        return tokenizer(texts, *arguments, **options)

    task = settled(posted, data_dir=tmp_path, tenant_id="me")
    partitions = tokenise_task(task, watched, max_length=12, data_dir=tmp_path)
    first, second, later = (partitions(seed) for seed in (0, 1, 2))
    assert len(shown) == 80
    assert partitions(1) == second
    assert first.train == second.validation
    assert first.validation == second.train
    assert first.test == second.test
    assert sorted((*first.train.ids, *first.validation.ids, *first.test.ids)) == sorted(
        tokenise([Row(f"text number {n}", 0) for n in range(80)], tokenizer, max_length=12).ids
    )
    assert (len(first.validation), sum(map(int, first.validation.labels))) == (35, 17)  # type: ignore[arg-type]
    assert len({first.sha256, second.sha256, later.sha256}) == 3


def test_values_are_standardised_by_the_rows_of_the_fold(tokenizer: Any, tmp_path: Path) -> None:
    """What a seed validates on does not tell it the scale."""
    rows = [{"text": f"text {n}", "label": 1.5**n} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    posted = Task.model_validate(
        {"name": "file:a.jsonl", "kind": "regression", "resampling": {"folds": 2}, "train_rows": 20}
    )
    task = settled(posted, data_dir=tmp_path, tenant_id="me")
    partitions = tokenise_task(task, tokenizer, max_length=12, data_dir=tmp_path)
    first, second = (partitions(seed) for seed in (0, 1))
    for one in (first, second):
        values = torch.tensor(one.train.labels, dtype=torch.float64)
        assert (values.mean().item(), values.std(correction=0).item()) == pytest.approx((0.0, 1.0))
    assert first.answers.mean != second.answers.mean
    assert len(first.train) + len(first.validation) == 20 + 4


def test_values_are_standardised_by_the_training_rows(tokenizer: Any, tmp_path: Path) -> None:
    """Mean 0 and deviation 1 in training; the same shift and scale elsewhere."""
    rows = [{"text": f"text {n}", "label": 100.0 + n} for n in range(160)]
    task = from_file(rows, tokenizer, tmp_path, kind="regression", train_rows=64)
    values = torch.tensor(task.train.labels, dtype=torch.float64)
    assert (values.mean().item(), values.std(correction=0).item()) == pytest.approx((0.0, 1.0))
    restored = torch.tensor(task.test.labels) * task.answers.standard_deviation + task.answers.mean
    assert all(100 <= value < 260 for value in restored.tolist())
    assert task.train.score == "spearman"
