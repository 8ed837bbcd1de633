"""The units of systemd: they run the very commands that `paretune up` runs, and systemd reads them."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from paretune import commands
from service.settings import Settings

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
PYTHON = "/opt/paretune/bin/python"
STARTED = {
    "paretune-migrate.service": commands.MIGRATE,
    "paretune-api.service": commands.api("127.0.0.1", 8080),
    "paretune-study-worker.service": commands.study_worker("studies-0"),
    "paretune-trial-worker@.service": commands.trial_worker("trials-%i"),
}


def read(name: str) -> list[tuple[str, str]]:
    """Return the lines of a unit as names and values; a name may come again."""
    lines = (UNITS / name).read_text(encoding="utf-8").splitlines()
    return [(line.partition("=")[0], line.partition("=")[2]) for line in lines if re.match(r"\w+=", line)]


def test_every_unit_is_known() -> None:
    """A new one gets its command here."""
    assert {path.name for path in UNITS.glob("*.service")} == STARTED.keys()


@pytest.mark.parametrize("name", STARTED)
def test_a_unit_runs_the_command_of_the_supervisor(name: str) -> None:
    """With `%` written twice where it is not systemd's own."""
    [command] = [value for key, value in read(name) if key == "ExecStart"]
    program, *arguments = shlex.split(command)
    assert program == PYTHON
    assert tuple(argument.replace("%%", "%") for argument in arguments) == STARTED[name]


@pytest.mark.parametrize("name", STARTED)
def test_no_unit_holds_a_secret(name: str) -> None:
    """Each variable of a file of secrets names a credential that is loaded, and runs as a user of its own."""
    lines = read(name)
    loaded = {value.partition(":")[0] for key, value in lines if key == "LoadCredential"}
    named = {value.rpartition("/")[2] for key, value in lines if key == "Environment" and "_FILE=" in value}
    assert named == loaded
    assert {"postgres_password", "valkey_password"} <= loaded
    assert ("api_key" in loaded) == (name == "paretune-migrate.service")
    assert ("User", "paretune") in lines
    assert ("NoNewPrivileges", "yes") in lines


@pytest.mark.parametrize("name", ["paretune-study-worker.service", "paretune-trial-worker@.service"])
def test_workers_are_told_to_give_back(name: str) -> None:
    """SIGQUIT, to the worker alone: it sees its own children off."""
    assert {("KillSignal", "SIGQUIT"), ("KillMode", "mixed")} <= set(read(name))


def test_a_migration_that_failed_is_tried_again_and_then_starts_the_others() -> None:
    """At a boot the database may be late, and what needs the schema is not started by a failed attempt."""
    lines = read("paretune-migrate.service")
    assert {("Type", "oneshot"), ("Restart", "on-failure")} <= set(lines)
    [after] = [value for key, value in lines if key == "ExecStartPost"]
    assert after.endswith("start paretune.target")
    assert ("Requires", "paretune-migrate.service") in read("paretune-api.service")
    assert ("WantedBy", "paretune.target") in read("paretune-api.service")


def test_the_environment_has_settings_that_exist() -> None:
    """And no password: they are files."""
    text = (UNITS / "environment").read_text(encoding="utf-8")
    variables = dict(re.findall(r"^([A-Z_]+)=(.*)$", text, re.MULTILINE))
    aliases = {str(field.validation_alias) for field in Settings.model_fields.values()}
    known = {f"PARETUNE_{name.upper()}" for name in Settings.model_fields} | aliases | {"HF_HOME"}
    assert variables.keys() <= known
    assert ":@" not in text
    assert all(
        re.match(r"[\w+]+://\w*@?[\w.]+:\d+", variables[name]) for name in ("DATABASE_URL", "BROKER_URL")
    )


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd here")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """Without a warning; only the interpreter's place is another one."""
    for path in UNITS.iterdir():
        text = path.read_text(encoding="utf-8").replace(PYTHON, "/bin/true").replace("User=paretune\n", "")
        (tmp_path / path.name).write_text(text, encoding="utf-8")
    read = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(STARTED), "paretune.target"],
        capture_output=True, text=True, cwd=tmp_path, env={"SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
    )  # fmt: skip
    assert (read.returncode, read.stderr) == (0, "")
