"""What the documents promise exists, and what exists is documented."""

import re
from pathlib import Path

import pytest
import yaml

from api_schemas.peft.registry import OWN_MODULES, PeftMethod
from api_schemas.search_space import PresetName
from api_schemas.trial_configuration import TrialConfiguration

ROOT = Path(__file__).parent.parent
METHODS = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")
STUDIES = (ROOT / "docs" / "studies.md").read_text(encoding="utf-8")
OTHER_VARIABLES = {"URL", "API_KEY", "API_KEY_FILE", "ARTIFACTS_DIR", "STATE_DIR"}
"""Of the command line, or read under an alias."""
GIVEN_TO_SCRIPTS = {"PARAMETERS", "PARAMETER_HEIGHT", "METRICS", "SEED", "TRIAL", "STUDY"}
"""What `paretune agent` sets for the script that it runs."""
EXAMPLES = re.findall(r"```yaml\n(.*?)```", METHODS, re.DOTALL)


@pytest.mark.parametrize("name", [*PeftMethod, *OWN_MODULES])
def test_every_method_and_module_has_its_row(name: str) -> None:
    """With a formula and a count beside it."""
    assert name == PeftMethod.MODULES or f"| `{name}` |" in METHODS


@pytest.mark.parametrize("preset", PresetName)
def test_every_preset_is_explained_to_beginners_and_readers(preset: PresetName) -> None:
    """Where studies are explained, and beside the methods."""
    assert f"| `{preset}` |" in METHODS
    assert f"| `{preset}` |" in STUDIES


@pytest.mark.parametrize("example", EXAMPLES)
def test_configurations_of_the_papers_are_legal(example: str) -> None:
    """They train something."""
    document = {"backbone": "b", "task": {"name": "t"}, **yaml.safe_load(example)}
    assert not TrialConfiguration.model_validate(document).is_head_only


def test_the_readme_is_read_in_a_minute() -> None:
    """What is longer stands in docs/."""
    assert README.count("\n") <= 120


def test_settings_of_the_documents_exist() -> None:
    """A variable that nobody reads would be set in vain."""
    settings = (ROOT / "service" / "settings.py").read_text(encoding="utf-8")
    pages = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md"))]
    named = {name for page in pages for name in re.findall(r"`PARETUNE_([A-Z_]+)`", page)}
    named -= OTHER_VARIABLES | GIVEN_TO_SCRIPTS
    assert named
    assert [name for name in named if f"    {name.lower()}:" not in settings] == []


def test_every_failure_has_a_test_that_exists_or_a_reason() -> None:
    """The table of docs/reliability.md, row by row."""
    text = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", text, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 38
    for number, shown_by in rows:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", shown_by)
        assert named or shown_by.startswith("No test: "), number
        for path, test in named:
            assert f"def {test}(" in (ROOT / path).read_text(encoding="utf-8"), (number, test)


def test_links_between_files_lead_somewhere() -> None:
    """A file that moves takes its links along."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
    dead = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", page.read_text(encoding="utf-8"))
        if not (page.parent / target).exists()
    ]
    assert dead == []
