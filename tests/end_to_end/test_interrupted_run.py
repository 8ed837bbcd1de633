"""Ctrl-C in the middle of `paretune run` loses nothing: the study is paused, and resumes to its end."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow

STUDY = """
display_name: interrupted
configuration:
  backbone: all-MiniLM-L6-v2
  task: {name: rotten-tomatoes, train_rows: 64, validation_rows: 32, test_rows: 32}
  training: {epochs: 1, max_length: 16}
search_space: {preset: autopeft}
objectives:
  - {metric: score, direction: maximize}
  - {metric: trainable_parameters, direction: minimize}
budget: {trials: 3}
"""


def paretune(*arguments: str | Path) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if name not in ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL", "PARETUNE_URL")
    }
    return subprocess.Popen(
        [sys.executable, "-m", "paretune.cli", *arguments],
        stdout=subprocess.PIPE, text=True, env={**environment, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip


def test_an_interrupted_run_is_paused_and_resumes(state_root: Path) -> None:
    """The message names the command to go on with; that command spends the rest of the budget, no more."""
    (state_root / "study.yaml").write_text(STUDY)
    options = ("--state-dir", state_root / "state", "--trial-workers", "1", "--output", state_root / "out")
    with paretune("run", state_root / "study.yaml", *options) as run:
        assert run.stdout is not None
        for line in run.stdout:
            if line.startswith("trial"):
                below = psutil.Process(run.pid).children(recursive=True)
                run.send_signal(signal.SIGINT)
                break
        rest = run.stdout.read()
    assert run.returncode == 130
    told = re.search(r"paretune resume (std_[0-9a-f]+)", rest)
    assert told is not None, rest
    psutil.wait_procs(below, timeout=60)
    assert not [child for child in below if child.is_running()]
    with paretune("resume", told[1], *options) as resumed:
        assert resumed.stdout is not None
        output = resumed.stdout.read()
    assert resumed.returncode == 0, output
    assert "SUCCEEDED" in output
    assert len(re.findall(r"^trial +\d+  SUCCEEDED", output, flags=re.MULTILINE)) == 3
    assert list((state_root / "out").glob("*/pareto_front.png"))
