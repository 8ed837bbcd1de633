"""Import and export from the command line."""

import io
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from paretune.bridge_progress import unwatched, watched
from paretune.cli import app
from paretune.client import Client
from paretune.console import PlainConsole
from paretune.errors import BridgeMissing
from tests.conftest import API_KEY
from tests.paretune.client.studies import custom_study
from tests.paretune.optuna_bridge.past_studies import past_study, past_trial


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def lines_of(result: Result) -> list[str]:
    """What the command said, without the log of the server in the same process."""
    return [line for line in result.output.splitlines() if not line.startswith(("{", "[I "))]


@pytest.mark.parametrize(
    ("arguments", "package", "extra"),
    [
        (("import-optuna", "sqlite:///a.db", "a"), "optuna", "optuna"),
        (("export-optuna", "std_1", "sqlite:///a.db"), "optuna", "optuna"),
        (("export-mlflow", "std_1", "--tracking-uri", "sqlite:///a.db"), "mlflow", "mlflow"),
    ],
)
def test_a_missing_package_is_named(
    arguments: tuple[str, ...], package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With what installs it, before a server is looked for."""
    for name in list(sys.modules):
        if name.startswith(f"paretune.{package}_bridge"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, package, None)
    result = run(*arguments)
    assert isinstance(result.exception, BridgeMissing)
    assert f"pip install 'paretune[{extra}]'" in str(result.exception)


def test_a_study_goes_in_and_out(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lines say what was taken and what was not."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    url = f"sqlite:///{tmp_path / 'past.db'}"
    past_study(
        past_trial([1.0, 1.0], x=0.25), past_trial([2.0, 1.0], x=0.25),
        past_trial([2.0, 1.0], kind="sgd", x=0.5), storage=url,
    )  # fmt: skip
    with Client(server_url, api_key=API_KEY) as client:
        into = client.create_study(custom_study()).id
    imported = run("import-optuna", url, "past", "--into", into)
    assert lines_of(imported) == [
        f"Study {into}: 1 trials imported, 0 known already.",
        "Repeats of the same parameters: 1; each set counts once, with the mean.",
        "Left out, outside the search space: 1 (trial 2: the search space has no parameter 'kind').",
    ]
    written = run("export-optuna", into, url, "--name", "back")
    assert lines_of(written) == ["Optuna study back: 1 trials written, 0 there already, 0 not ended yet."]


def test_progress_needs_a_terminal() -> None:
    """A log is not filled with bars; a terminal shows how many of how many."""
    with watched(PlainConsole(file=io.StringIO()), "trials") as on_progress:
        assert on_progress is unwatched
    shown = io.StringIO()
    terminal = PlainConsole(file=shown, force_terminal=True, width=100, _environ={"TERM": "xterm"})
    with watched(terminal, "trials") as on_progress:
        on_progress(2, 5)
    assert "2/5" in shown.getvalue()
