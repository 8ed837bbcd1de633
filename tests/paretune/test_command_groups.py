"""`paretune --help`, as a person sees it at 80 columns."""

import pytest
from typer.testing import CliRunner

from paretune.cli import app
from paretune.command_groups import GROUPS


def help_of(*command: str) -> str:
    done = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": "80"})
    assert done.exit_code == 0, done.output
    return done.output


def test_commands_are_listed_in_groups_and_in_full() -> None:
    """Every group once, in order; no sentence is cut off, and no line is longer than the terminal."""
    lines = help_of().splitlines()
    headings = [line.removesuffix(":") for line in lines if line.removesuffix(":") in GROUPS]
    assert headings == list(GROUPS)
    assert not [line for line in lines if line.startswith("  ") and line.endswith("...")]
    assert max(map(len, lines)) <= 80


def test_every_command_has_a_group() -> None:
    """One without would not be listed at all."""
    shown = help_of()
    names = [command.name or command.callback.__name__ for command in app.registered_commands]  # type: ignore[union-attr]
    names += [group.name for group in app.registered_groups if group.name]
    assert {"keys", "tenants"} <= set(names)
    assert all(f"\n  {name} " in shown for name in names)


@pytest.mark.parametrize("command", ["status", "recommend", "events", "logs", "importance", "files", "audit"])
def test_what_reads_can_answer_in_json(command: str) -> None:
    """For programs."""
    assert "--json" in help_of(command)


def test_the_version_is_shown() -> None:
    """Without a command."""
    done = CliRunner().invoke(app, ["--version"])
    assert done.output.startswith("paretune ")
    assert done.exit_code == 0
