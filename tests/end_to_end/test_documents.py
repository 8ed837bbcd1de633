"""The CSV study of the README and of the tutorial, only smaller: real server, model and rows."""

import re
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from api_schemas.yaml_documents import load_yaml
from paretune.cli import app
from paretune.client import Client
from paretune.local import Stack
from tests.code_blocks import commands, of, one

pytestmark = pytest.mark.slow

TUTORIAL = "docs/tutorial/csv.md"
SMALLER = "docs/tutorial/smaller-model.md"
ADAPTER = re.compile(r'load_classifier\("[^"]+"\)')
COMMANDS = ("init", "validate", "run", "status", "recommend", "report", "export")
"""What is run as it stands, in the order of the pages; the others install, or ask for help."""
SAID = {"positive": ("warm", "witty", "moving", "bright"), "negative": ("dull", "stale", "slow", "noisy")}


def reviews() -> str:
    """Return rows like those of the tutorial, beginning with its own."""
    rows = [
        f"a {word} {thing} number {number},{label}"
        for label, words in SAID.items()
        for word in words
        for thing in ("film", "play", "story")
        for number in range(3)
    ]
    return one(TUTORIAL, "csv") + "\n".join(rows) + "\n"


def smaller(study: str, *, trials: int = 1) -> str:
    """Return a study that trains few trials for one epoch of short texts.

    A front of one point has a recommendation, whatever other studies of the server have taught it to try.
    """
    document = load_yaml(study)
    assert isinstance(document, dict)
    document["configuration"]["training"] = {"epochs": 1, "batch_size": 16, "max_length": 16}
    return yaml.safe_dump({**document, "budget": {"trials": trials}})


def run_commands_of(*pages: str) -> None:
    """Run what the pages type of ours, each command once."""
    blocks = [block for block in of("console") if block.page in pages]
    for command in dict.fromkeys(command for block in blocks for command in commands(block)):
        if command.startswith("paretune ") and command.split()[1] in COMMANDS:
            arguments = [*command.split()[1:], *(["--yes"] if " init " in command else [])]
            result = CliRunner().invoke(app, arguments)
            assert result.exit_code == 0, (command, result.output, result.exception)


def test_the_readme_leads_from_a_csv_to_an_adapter(
    shared_stack: tuple[Stack, Client],
    state_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its study and commands run, and its snippet and that of the tutorial predict."""
    assert one("README.md", "yaml") == one(TUTORIAL, "yaml")
    stack, _ = shared_stack
    monkeypatch.setenv("PARETUNE_URL", stack.url)
    monkeypatch.setenv("PARETUNE_API_KEY", stack.api_key)
    monkeypatch.chdir(state_root)
    Path("reviews.csv").write_text(reviews(), encoding="utf-8")
    Path("reviews.yaml").write_text(smaller(one("README.md", "yaml")), encoding="utf-8")
    run_commands_of("README.md", TUTORIAL)
    assert yaml.safe_load(Path("study.yaml").read_text())["configuration"]["task"]["label_column"] == "label"
    (trial,) = Path("results").glob("reviews-*/trial-*")
    same = [ADAPTER.sub("", one(page, "python")) for page in ("README.md", "docs/usage.md")]
    assert same[0] == same[1]
    for page, folder in (("README.md", trial), (TUTORIAL, Path("adapter"))):
        snippet, found = ADAPTER.subn(f'load_classifier("{folder}")', one(page, "python"))
        assert found == 1
        exec(compile(snippet, page, "exec"), {})  # noqa: S102  that it runs is what the page promises
    assert re.search(r"^(positive|negative) [01]\.\d+$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.nightly
def test_the_tutorial_of_a_smaller_model_leads_to_a_plain_transformer(
    shared_stack: tuple[Stack, Client],
    state_root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Its study and its commands run, with three trials, and its snippet opens what they leave."""
    stack, _ = shared_stack
    monkeypatch.setenv("PARETUNE_URL", stack.url)
    monkeypatch.setenv("PARETUNE_API_KEY", stack.api_key)
    monkeypatch.chdir(state_root)
    Path("reviews.csv").write_text(reviews(), encoding="utf-8")
    # The whole network, and its beginning twice: the bound of the page leaves the last.
    Path("smaller.yaml").write_text(smaller(one(SMALLER, "yaml"), trials=3), encoding="utf-8")
    run_commands_of(SMALLER)
    exec(compile(one(SMALLER, "python"), SMALLER, "exec"), {})  # noqa: S102  as its reader would
    assert re.search(r"^[1-6] layers, \d+ parameters$", capsys.readouterr().out, re.MULTILINE)
