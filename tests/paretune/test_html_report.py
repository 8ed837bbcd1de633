"""`paretune report`, against the server of the environment."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_schemas.ask_and_tell import ImportedObservation
from paretune.cli import app
from paretune.client import Client
from paretune.errors import FileExists
from tests.conftest import API_KEY
from tests.paretune.client.studies import DOCUMENT
from tests.paretune.test_cli import with_imported_result

HOSTILE = "<script>alert(1)</script> & \x1b]0;x\x07"


@pytest.fixture
def page(server_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    return tmp_path / "report.html"


def written(page: Path, study: str) -> str:
    done = CliRunner().invoke(app, ["report", study, "--output", str(page)])
    assert done.exit_code == 0, done.output
    return page.read_text(encoding="utf-8")


class Loads(HTMLParser):
    """Collects what a page would load or run."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "link", "img", "iframe", "object"):
            self.found.append(tag)
        self.found += [name for name, _ in attributes if name in ("src", "href") or name.startswith("on")]


def test_a_page_needs_nothing_else(page: Path, client: Client) -> None:
    """No script, no address; it has the front as a picture, its table and the recommendation."""
    text = written(page, with_imported_result(client, trials=1))
    parser = Loads()
    parser.feed(text)
    assert parser.found == []
    assert "Content-Security-Policy" in text
    assert "<h2>Front</h2>" in text
    assert text.count('role="img"') >= 1
    assert "<h2>Recommendation</h2>" in text


def test_what_others_wrote_is_text(page: Path, client: Client) -> None:
    """Names, choices and reasons; a custom study of two objectives has them on its axes."""
    choices = {"type": "categorical", "name": "kind", "choices": [HOSTILE, "b"]}
    document = {**DOCUMENT, "display_name": HOSTILE, "search_space": {"parameters": [choices]}}
    study_id = client.create_study_from(document).id
    client.import_observations(
        study_id,
        [
            ImportedObservation(parameters={"kind": HOSTILE}, metrics={"cost": 1.0, "gain": 1.0}),
            ImportedObservation(parameters={"kind": "b"}, infeasible=HOSTILE),
        ],
    )
    text = written(page, study_id)
    assert not re.search(r"<script|\x1b|\x07", text)
    assert "&lt;script&gt;" in text
    assert 'aria-label="cost over gain"' in text


def test_a_study_without_results_has_a_page_too(page: Path, client: Client) -> None:
    """It says so. A page is not written over another one unasked."""
    study_id = client.create_study_from(DOCUMENT).id
    assert "No trial has succeeded yet" in written(page, study_id)
    again = CliRunner().invoke(app, ["report", study_id, "--output", str(page)])
    assert isinstance(again.exception, FileExists)
