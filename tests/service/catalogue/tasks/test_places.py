"""No name of a task reaches a file that the tenant may not read."""

from pathlib import Path

import pytest

from service.catalogue.tasks.places import file_path, open_file, settled_name
from service.errors import UnknownTask


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    for name in ("shared.csv", "sub/deep.csv", "uploads/me/mine.csv", "uploads/me/shared.csv",
                 "uploads/other/theirs.csv"):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("text,label\n")
    (tmp_path / "secret.csv").write_text("text,label\n")
    (root / "out.csv").symlink_to(tmp_path / "secret.csv")
    (root / "away").symlink_to(tmp_path)
    (root / "into.csv").symlink_to(root / "uploads" / "other" / "theirs.csv")
    (root / "alias.csv").symlink_to(root / "shared.csv")
    (root / "uploads" / "me" / "secret.csv").symlink_to(tmp_path / "secret.csv")
    (root / "uploads" / "me" / "mine-too.csv").symlink_to(root / "uploads" / "me" / "mine.csv")
    (root / "uploads" / "me" / "theirs.csv").symlink_to(root / "uploads" / "other" / "theirs.csv")
    (root / "uploads" / "me" / "deep").symlink_to(root / "sub")
    (root / "uploads" / "linked").symlink_to(root / "uploads" / "other")
    (root / "in").symlink_to(root / "uploads" / "me")
    return root


def settle(name: str, data_dir: Path | None) -> str:
    return settled_name(f"file:{name}", data_dir=data_dir, tenant_id="me")


@pytest.mark.parametrize(
    "name",
    [
        "../secret.csv", "sub/../../secret.csv", "out.csv", "away/secret.csv", "/etc/passwd", "",
        "missing.csv", ".", "sub", "a\0b.csv", 300 * "a" + ".csv", "into.csv", "theirs.csv",
        "uploads/other/theirs.csv", "../other/theirs.csv", "uploads/me/../other/theirs.csv",
        "secret.csv", "uploads/me/secret.csv", "mine-too.csv", "uploads/me/mine-too.csv",
        "uploads/me/theirs.csv", "uploads/me/deep/deep.csv",
        "uploads/linked/theirs.csv", "in/mine.csv", "\udcff.csv",
    ],
)  # fmt: skip
def test_a_name_that_leads_elsewhere_is_an_unknown_file(name: str, data_dir: Path) -> None:
    """One answer for what is missing and for what is not yours."""
    with pytest.raises(UnknownTask, match="There is no file"):
        settle(name, data_dir)


def test_without_a_data_directory_the_message_says_what_to_set(data_dir: Path) -> None:
    """Both at the door and in a worker."""
    for find in (lambda: settle("shared.csv", None), lambda: file_path("file:shared.csv", data_dir=None)):
        with pytest.raises(UnknownTask, match="PARETUNE_DATA_DIR"):
            find()


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("mine.csv", "uploads/me/mine.csv"),
        ("shared.csv", "uploads/me/shared.csv"),
        ("uploads/me/mine.csv", "uploads/me/mine.csv"),
        ("sub/deep.csv", "sub/deep.csv"),
        ("alias.csv", "alias.csv"),
    ],
)
def test_an_upload_comes_before_a_shared_file(name: str, found: str, data_dir: Path) -> None:
    """The settled name says which one it is, and finds it again."""
    assert settle(name, data_dir) == f"file:{found}"
    assert settle(found, data_dir) == f"file:{found}"
    assert file_path(f"file:{found}", data_dir=data_dir) == (data_dir / found).resolve()


def test_a_folder_of_uploads_that_is_a_link_holds_no_uploads(data_dir: Path) -> None:
    """Whoever could make it one would choose what is read."""
    with pytest.raises(UnknownTask, match="There is no file"):
        settled_name("file:theirs.csv", data_dir=data_dir, tenant_id="linked")


def test_a_link_that_takes_the_place_of_a_file_is_not_opened(data_dir: Path) -> None:
    """Between the look and the reading; only the cache of the hub consists of links."""
    with pytest.raises(UnknownTask, match=r"There is no file 'alias\.csv'"):
        open_file(data_dir / "alias.csv", in_cache=False)
    open_file(data_dir / "alias.csv", in_cache=True).close()
    with pytest.raises(UnknownTask, match="There is no file"):
        open_file(data_dir / "sub", in_cache=False)
