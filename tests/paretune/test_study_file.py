"""A study file that cannot work says why, in the user's words."""

from pathlib import Path

import pytest

from api_schemas.proposals import Proposer
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


def test_a_proposer_is_passed_on_and_an_unknown_one_is_explained(tmp_path: Path) -> None:
    """With the names that there are."""
    example = (EXAMPLES / "rotten-tomatoes.yaml").read_text()
    path = tmp_path / "study.yaml"
    path.write_text(f"{example}\nproposals: {{proposer: tpe}}\n")
    assert read_study_file(path).proposals.proposer is Proposer.TPE
    path.write_text(f"{example}\nproposals: {{proposer: grid}}\n")
    with pytest.raises(StudyFileError, match=r"proposals\.proposer: .*'nsga2'"):
        read_study_file(path)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda path: path.name)
def test_every_example_is_a_study(path: Path) -> None:
    """The examples we ship load."""
    assert read_study_file(path).budget.trials > 0


def test_a_study_file_may_ask_for_a_warm_start(tmp_path: Path) -> None:
    """Of former studies by id, or of whatever fits."""
    example = (EXAMPLES / "rotten-tomatoes.yaml").read_text(encoding="utf-8")
    path = tmp_path / "study.yaml"
    for words, studies, mode in (
        ("{}", "auto", "model"),
        ("{studies: [std_1], mode: pareto}", ("std_1",), "pareto"),
    ):
        path.write_text(f"{example}\nproposals: {{warm_start: {words}}}\n", encoding="utf-8")
        found = read_study_file(path).proposals.warm_start
        assert found is not None
        assert (found.studies, found.mode) == (studies, mode)


def test_edits_are_fields(tmp_path: Path) -> None:
    """Nested ones, with null for what is to go; a list of them is none."""
    path = tmp_path / "edits.yaml"
    path.write_text("parallelism: 2\nsearch_space: {parameters: null}\n")
    assert read_edits(path)["search_space"] == {"parameters": None}
    path.write_text("- parallelism")
    with pytest.raises(StudyFileError, match="must hold fields"):
        read_edits(path)
