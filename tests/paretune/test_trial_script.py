"""What a script is given, and what its end means for the trial."""

import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import pytest

from api_schemas.ask_and_tell import SuggestedTrial
from paretune.errors import TrialInfeasible, TrialStopped
from paretune.trial_script import (
    Ended,
    ScriptFailed,
    ScriptMissing,
    command_for,
    environment_for,
    metrics_of,
    raise_for,
    run_script,
)

TRIAL = SuggestedTrial(
    trial_id="trl_1", study_id="std_1", number=3, replicate=0, seed=7, attempt=1, configuration=None,
    parameters={"rate": 0.5, "wide": True, "the kind": "a b"},
)  # fmt: skip


def ended(code: int = 0, *, output: tuple[str, ...] = (), errors: tuple[str, ...] = ()) -> Ended:
    return Ended(code, output, errors)


def test_placeholders_of_a_command_are_filled_in(tmp_path: Path) -> None:
    """Every parameter as an argument of its own, single ones anywhere; other braces stay."""
    command = ["train", "{arguments}", "--out={metrics}", "{rate}/{seed}", "awk '{print}'", "{}"]
    assert command_for(command, TRIAL, folder=tmp_path) == [
        "train", "--rate=0.5", "--wide=true", "--the kind=a b", f"--out={tmp_path}/metrics.json", "0.5/7",
        "awk '{print}'", "{}",
    ]  # fmt: skip


def test_parameters_stand_in_the_environment(tmp_path: Path) -> None:
    """Under names that a shell can say."""
    found = environment_for(TRIAL, folder=tmp_path)
    assert found["PARETUNE_PARAMETER_THE_KIND"] == "a b"
    assert (found["PARETUNE_PARAMETER_RATE"], found["PARETUNE_SEED"]) == ("0.5", "7")


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended(65, errors=("too wide",)), "too wide"),
        (
            ended(1, errors=("torch.OutOfMemoryError: CUDA out of memory. Tried", "at exit")),
            "CUDA out of memory",
        ),
        (ended(1, errors=("MemoryError",)), "out of memory"),
        (ended(-signal.SIGKILL), "memory runs out"),
        (ended(137), "memory runs out"),
    ],
)
def test_what_the_parameters_are_to_blame_for_is_infeasible(end: Ended, words: str) -> None:
    """The optimiser learns to stay away."""
    with pytest.raises(TrialInfeasible, match=words):
        raise_for(end)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (ended(1, errors=("Traceback", "KeyError: 'x'", "")), "exit code 1: KeyError: 'x'"),
        (ended(-signal.SIGSEGV), "Segmentation fault"),
    ],
)
def test_anything_else_is_a_failure_with_its_last_words(end: Ended, words: str) -> None:
    """Another attempt may succeed."""
    with pytest.raises(ScriptFailed, match=words):
        raise_for(end)


def test_metrics_come_from_the_file_or_the_last_line(tmp_path: Path) -> None:
    """The file counts if there is one; what is no number is left out; none at all is a failure."""
    file = tmp_path / "metrics.json"
    assert metrics_of(ended(output=("epoch 3", '{"loss": 1, "note": "x", "ok": true}', "")), file=file) == {
        "loss": 1.0
    }
    file.write_text('{"loss": 2.5}')
    assert metrics_of(ended(output=('{"loss": 1}',)), file=file) == {"loss": 2.5}
    for text in ("", "[1]", '{"note": "x"}', "{"):
        file.write_text(text)
        with pytest.raises(ScriptFailed, match="PARETUNE_METRICS"):
            metrics_of(ended(), file=file)


def test_a_script_that_is_no_longer_wanted_is_ended_with_its_children(tmp_path: Path) -> None:
    """At once, not when it is done."""
    sleeping = "[sys.executable, '-c', 'import time; time.sleep(600)']"
    script = f"import subprocess, sys; print('on'); subprocess.run({sleeping})"
    lines: list[str] = []

    def check() -> None:
        if lines:
            raise TrialStopped("enough")

    started = time.monotonic()
    with pytest.raises(TrialStopped):
        run_script([sys.executable, "-c", script], TRIAL, folder=tmp_path, show=lines.append, check=check)
    assert time.monotonic() - started < 60


def test_an_agent_that_cannot_show_what_the_script_says_ends_it() -> None:
    """As where its terminal is gone; the script does not stand still before a pipe that nobody reads."""

    def show(line: str) -> None:
        raise SystemExit(1)

    script = "import time\nfor n in range(30_000): print('a line of it')\ntime.sleep(600)"
    command = [sys.executable, "-c", script]
    with tempfile.TemporaryDirectory() as folder, pytest.raises(SystemExit):
        run_script(command, TRIAL, folder=Path(folder), show=show, check=lambda: None)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a process to its parent")
def test_a_script_does_not_outlive_an_agent_that_is_killed(tmp_path: Path) -> None:
    """The trial's lease ends with the agent, and another one will run the trial."""
    agent = f"""
import sys
from pathlib import Path
from paretune.trial_script import run_script
from tests.paretune.test_trial_script import TRIAL

script = "import os, time; print(os.getpid()); time.sleep(600)"
folder = Path({str(tmp_path)!r})
run_script([sys.executable, "-c", script], TRIAL, folder=folder, show=print, check=lambda: None)
"""
    with subprocess.Popen([sys.executable, "-u", "-c", agent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        script = psutil.Process(int(process.stdout.readline()))
        process.kill()
        script.wait(60)


def test_a_command_that_is_not_there_is_named(tmp_path: Path) -> None:
    """It is no fault of the trial."""
    with pytest.raises(ScriptMissing, match="no-such-command"):
        run_script(["no-such-command"], TRIAL, folder=tmp_path, show=print, check=lambda: None)
