"""A study file that cannot work says why, in the user's words."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from api_schemas.errors import FieldError, Problem
from api_schemas.proposals import Proposer
from paretune.errors import RequestRefused, StudyFileError
from paretune.study_file import lines_named, read_edits, read_study_file

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"a: [", "is not YAML"),
        (b"\xff\xfe\x00", "Cannot read"),
        (b"display_name: x", "objectives: Field required"),
        (b"- 1", "must be an object"),
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
    path.write_text(f"{example}\nproposals: {{proposer: sobol}}\n")
    assert read_study_file(path).proposals.proposer is Proposer.SOBOL
    path.write_text(f"{example}\nproposals: {{proposer: nsga2}}\n")
    with pytest.raises(StudyFileError, match=r"proposals\.proposer: .*'sobol'"):
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


def _refusal(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    with pytest.raises(StudyFileError) as refused:
        read_study_file(path)
    return str(refused.value)


def test_a_misspelt_key_names_its_line_and_the_nearest(tmp_path: Path) -> None:
    """At every depth, in block style and in flow style, behind an alias, too."""
    example = (EXAMPLES / "rotten-tomatoes.yaml").read_text(encoding="utf-8")
    misspelt = example.replace("batch_size:", "batchsize:").replace("{metric: score", "{metrc: score")
    lines = misspelt.splitlines()
    told = _refusal(tmp_path / "study.yaml", misspelt)
    size = next(number for number, line in enumerate(lines, 1) if "batchsize:" in line)
    metrc = next(number for number, line in enumerate(lines, 1) if "metrc" in line)
    assert f"line {size}, configuration.training.batchsize: There is no 'batchsize' here." in told
    assert "Did you mean 'batch_size'?" in told
    assert f"line {metrc}, objectives.0.metrc: There is no 'metrc' here. Did you mean 'metric'?" in told
    assert told.count("'batch_size'") == 1


def test_a_key_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """YAML's readers keep the last one and say nothing."""
    told = _refusal(tmp_path / "study.yaml", "budget: {trials: 3}\nkind: custom\nbudget: {trials: 300}\n")
    assert "'budget' twice, in lines 1 and 3" in told


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 5000,
        "{" * 5000,
        "\n".join(
            ["a: &a [x,x,x,x,x,x,x,x,x]"]
            + [
                f"{now}: &{now} [{','.join([f'*{before}'] * 9)}]"
                for before, now in zip("abcdefgh", "bcdefghi", strict=True)
            ]
        ),
        "a: &a [*a]",
        "a: \ud800".encode("utf-8", "surrogatepass").decode("utf-8", "surrogatepass"),
        "x: " + "9" * 5000,
        "a: 2026-99-99",
        "? [a, b]\n: c",
        "!!python/object:os.system {}",
    ],
    ids=["deep list", "deep map", "laughs", "cycle", "surrogate", "digits", "date", "key", "tag"],
)
@pytest.mark.parametrize("reader", [read_study_file, read_edits])
def test_hostile_yaml_is_a_sentence(tmp_path: Path, text: str, reader: Callable[[Path], object]) -> None:
    """No traceback, no gigabytes, no minutes: for studies and for edits alike."""
    path = tmp_path / "study.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(StudyFileError):
        reader(path)


def test_a_file_that_cannot_be_a_study_is_not_read(tmp_path: Path) -> None:
    """A directory, a device without an end, a file of gigabytes."""
    huge = tmp_path / "huge.yaml"
    with huge.open("wb") as file:
        file.truncate(2**33)
    for path in (huge, tmp_path, Path("/dev/zero"), tmp_path / "a\0b"):
        with pytest.raises(StudyFileError):
            read_study_file(path)


def test_a_refusal_of_the_server_names_lines_of_the_file(tmp_path: Path) -> None:
    """And says nothing twice."""
    path = tmp_path / "study.yaml"
    path.write_text("display_name: x\nsearch_space:\n  parameters:\n  - {name: training.lr}\n")
    detail = "'training.lr': there is no such setting."
    problem = Problem(
        type="/p", title="The study cannot work.", status=422, detail=detail,
        errors=(FieldError(pointer="/search_space/parameters/0", detail=detail),),
    )  # fmt: skip
    with pytest.raises(RequestRefused) as refused, lines_named(path):
        raise RequestRefused(problem)
    assert str(refused.value).splitlines() == [
        "The study cannot work.",
        f"  line 4, /search_space/parameters/0: {detail}",
    ]


@pytest.mark.parametrize("reader", [read_study_file, read_edits])
@pytest.mark.parametrize(
    ("key", "named"),
    [("on", "on"), ("1", "1"), ("~", "~"), ("2020-01-01", "2020-01-01"), ("? [a, b]\n  ", "a list"),
     ("{x: y}", "a list")],
)  # fmt: skip
def test_a_key_that_yaml_takes_for_no_text_is_named(
    tmp_path: Path, key: str, named: str, reader: Callable[[Path], object]
) -> None:
    """At any depth, as it was written and with its line."""
    path = tmp_path / "study.yaml"
    path.write_text(f"budget:\n  trials: 3\n  {key}: 1\n", encoding="utf-8")
    with pytest.raises(StudyFileError, match=rf"line 3 .*: {re.escape(named)}.*quotes"):
        reader(path)


def test_of_very_many_errors_the_first_are_told(tmp_path: Path) -> None:
    """To look for near names of tens of thousands of keys takes minutes."""
    path = tmp_path / "study.yaml"
    path.write_text("".join(f"key_{number}: 1\n" for number in range(30_000)), encoding="utf-8")
    with pytest.raises(StudyFileError) as refused:
        read_study_file(path)
    assert len(str(refused.value).splitlines()) == 22


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("display_name: no", "line 1, display_name: This must be a text. Put it in quotes."),
        ("display_name: 2026-01-01", "line 1, display_name: This must be a text. Put it in quotes."),
        ("objectives: score", "line 1, objectives: This must be a list."),
        ("objectives: []", "line 1, objectives: List should have at least 1 item, not 0"),
    ],
)
def test_what_is_wrong_is_said_in_words_of_the_file(tmp_path: Path, line: str, told: str) -> None:
    """Not in those of the language that reads it."""
    path = tmp_path / "study.yaml"
    path.write_text(f"{line}\n", encoding="utf-8")
    with pytest.raises(StudyFileError) as refused:
        read_study_file(path)
    assert told in str(refused.value)
