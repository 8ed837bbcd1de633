"""A study file that cannot work says why, in the user's words."""

from pathlib import Path

import pytest

from paretune.errors import StudyFileError
from paretune.study_file import read_edits, read_study_file

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "Cannot read"),
        (b"display_name: x", "objectives: Field required"),
        (b"- 1", "should be a valid dictionary"),
    ],
)
def test_a_bad_file_is_explained(tmp_path: Path, content: bytes, complaint: str) -> None:
    """Broken YAML, broken text and missing fields each have their sentence."""
    path = tmp_path / "study.yaml"
    path.write_bytes(content)
    with pytest.raises(StudyFileError, match=complaint):
        read_study_file(path)


def test_a_missing_file_is_explained(tmp_path: Path) -> None:
    """The path is in the message."""
    with pytest.raises(StudyFileError, match=r"nowhere\.yaml"):
        read_study_file(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_study(path: Path) -> None:
    """The examples we ship load."""
    assert read_study_file(path).budget.trials > 0


def test_edits_are_fields(tmp_path: Path) -> None:
    """Nested ones, with null for what is to go; a list of them is none."""
    path = tmp_path / "edits.yaml"
    path.write_text("parallelism: 2\nsearch_space: {parameters: null}\n")
    assert read_edits(path)["search_space"] == {"parameters": None}
    path.write_text("- parallelism")
    with pytest.raises(StudyFileError, match="must hold fields"):
        read_edits(path)
