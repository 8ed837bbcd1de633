"""Which split a name means. Rows of other splits and other sets never get among the training rows."""

import pytest

from service.catalogue.tasks.split_names import SeveralSets, named_splits, split_of, splits_by_path


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("train", "train"), ("training", "train"), ("dev", "validation"), ("val", "validation"),
        ("eval", "test"), ("test_matched", "test"), ("unsupervised", None), ("holdout", None),
        ("extra", None), ("retrain", None), ("contest", None), ("trained", None),
        ("data/Train-0.parquet", "train"),
    ],
)  # fmt: skip
def test_a_split_is_told_by_its_words(name: str, split: str | None) -> None:
    """Whole ones, in any case."""
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train", "test", "unsupervised"], {"train": "train", "test": "test"}),
        (["train", "extra", "holdout"], {"train": "train"}),
        (["train", "train_small", "test"], {"train": "train", "test": "test"}),
        (["train", "validation_matched", "validation_mismatched"], {"train": "train"}),
        (["train", "dev", "validation"], {"train": "train", "validation": "validation"}),
        (["train", "test", "eval"], {"train": "train", "test": "test"}),
        (["Train", "test_clean"], {"train": "Train", "test": "test_clean"}),
        (["en", "fr"], {}),
    ],
)
def test_each_split_has_one_name(names: list[str], splits: dict[str, str]) -> None:
    """The plain one before others with the word; what is neither is left out."""
    assert named_splits(names) == splits


def test_two_splits_to_train_on_are_not_mixed() -> None:
    """The sentence names both."""
    with pytest.raises(SeveralSets) as refused:
        named_splits(["train_en", "train_fr", "test"])
    assert refused.value.names == ("train_en", "train_fr")


@pytest.mark.parametrize(
    ("files", "splits", "left_out"),
    [
        (["train.csv", "test.csv", "unsupervised.csv"], {"train": ["train.csv"], "test": ["test.csv"]}, 1),
        (["train.csv", "extra.csv", "holdout/a.csv"], {"train": ["train.csv"]}, 2),
        (["train.csv", "train_small.csv"], {"train": ["train.csv"]}, 1),
        (["a-00000-of-00002.csv", "a-00001-of-00002.csv"], None, 0),
        (["train/0000.parquet", "train/0001.parquet", "test/0000.parquet"],
         {"train": ["train/0000.parquet", "train/0001.parquet"], "test": ["test/0000.parquet"]}, 0),
        (["data/train.csv", "test.csv"], {"train": ["data/train.csv"], "test": ["test.csv"]}, 0),
        (["imdb_train.csv", "imdb_test.csv"], {"train": ["imdb_train.csv"], "test": ["imdb_test.csv"]}, 0),
        (["train.parquet", "train.csv", "test.csv"], {"train": ["train.parquet"], "test": ["test.csv"]}, 0),
        (["train.csv", "dev_matched.csv", "dev_mismatched.csv"], {"train": ["train.csv"]}, 2),
        (["train/a/0.csv", "train/b/1.csv"], {"train": ["train/a/0.csv", "train/b/1.csv"]}, 0),
    ],
)  # fmt: skip
def test_files_are_told_by_their_paths(
    files: list[str], splits: dict[str, list[str]] | None, left_out: int
) -> None:
    """Parts belong together; what has no word for a split stays away from what has one."""
    found, count = splits_by_path(files, subset=None)
    assert {split: list(of_split) for split, of_split in found.items()} == (splits or {"train": files})
    assert count == left_out


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["en/train.csv", "fr/train.csv"], ("en", "fr")),
        (["en/train.csv", "fr/test.csv"], ("en", "fr")),
        (["en/a.csv", "fr/a.csv"], ("en/a", "fr/a")),
        (["train_en.csv", "train_fr.csv", "test_en.csv"], ("en", "fr")),
        (["books.csv", "films.csv"], ("books", "films")),
        (["fold1/train.csv", "fold2/train.csv"], ("fold1", "fold2")),
        (["fold1_train.csv", "fold2_train.csv"], ("fold1", "fold2")),
        (["squad_train.csv", "snli_test.csv"], ("snli", "squad")),
        (["en/data/train.csv", "fr/data/train.csv"], ("en/data", "fr/data")),
    ],
)
def test_different_sets_of_rows_are_never_mixed(files: list[str], names: tuple[str, ...]) -> None:
    """Each of the names is a subset."""
    with pytest.raises(SeveralSets) as refused:
        splits_by_path(files, subset=None)
    assert refused.value.names == names
    for name in names:
        found, _ = splits_by_path(files, subset=name)
        assert all(name.split("/")[0] in file for of_split in found.values() for file in of_split)
        assert found


def test_a_subset_is_a_folder_or_a_word() -> None:
    """Of its files the words tell the splits."""
    files = ["train_en.csv", "test_en.csv", "train_fr.csv", "test_fr.csv"]
    assert splits_by_path(files, subset="fr")[0] == {"train": ("train_fr.csv",), "test": ("test_fr.csv",)}
    assert splits_by_path(files, subset="de")[0] == {}
