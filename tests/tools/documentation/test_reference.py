"""The reference has everything that the source has."""

import json
from pathlib import Path

import pytest
from typer.main import get_command

from api_schemas.peft.registry import OWN_MODULES, PeftMethod
from api_schemas.studies import StudyCreate
from paretune.cli import app
from service.api.protocol import problem_pages
from service.settings import Settings
from tools.documentation import reference

DOCUMENT = json.loads((Path(reference.ROOT) / "openapi.json").read_text(encoding="utf-8"))


def test_every_route_and_schema_has_its_place() -> None:
    """With the method, and the statuses of what is refused."""
    page = reference.api(DOCUMENT)
    for path, operations in DOCUMENT["paths"].items():
        assert [method for method in operations if f"### {method.upper()} {path}\n" not in page] == []
    assert "- else: 400, 401, 403" in page
    assert "### StudyRead\n" in page


def test_every_command_is_listed_with_its_options() -> None:
    """Under the groups of `--help`; those of sub-commands by their whole name."""
    page = reference.command_line()
    commands = get_command(app).commands  # type: ignore[attr-defined]  # a group
    missing = [
        name
        for name in commands
        if f"### paretune {name}\n" not in page and f"### paretune {name} " not in page
    ]
    assert missing == []
    assert page.index("## Studies\n") < page.index("### paretune run\n") < page.index("## Results\n")
    assert "### paretune keys create\n" in page
    assert "| `--study-workers` | `1` | Study workers to start" in page
    assert "`STUDY_FILE` | required" in page


def test_every_field_of_a_study_is_listed() -> None:
    """With what it may be, its limits and its default."""
    page = reference.study()
    assert [name for name in StudyCreate.model_fields if f"| `{name}` |" not in page] == []
    assert "| `replicates` | integer, ≥ 1, ≤ 32 | `1` |" in page


def test_every_setting_is_listed_by_its_variable() -> None:
    """With what the source says under it."""
    page = reference.settings()
    assert page.count("\n| `") == len(Settings.model_fields)
    assert "| `PARETUNE_LEASE_SECONDS` | `30.0` |" in page
    assert "| `DATABASE_URL` | required |" in page
    assert "names like `local:NAME` resolve here" in page


def test_every_method_and_module_is_listed() -> None:
    """But for the one that stands for our own modules."""
    page = reference.methods()
    assert [name for name in (*PeftMethod, *OWN_MODULES) if f"| `{name}` |" not in page] == ["modules"]


@pytest.mark.usefixtures("service_environment")
def test_every_problem_is_listed_with_its_cure() -> None:
    """The same that the server's own pages show."""
    page = reference.problems()
    assert [slug for slug in problem_pages.problems() if f"| `{slug}` |" not in page] == []
    assert "| 412 | The study has changed" in page
