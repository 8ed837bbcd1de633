"""The batch script for SLURM, run as it is: its workers give their trials back when the time is over."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from api_schemas.trials import TrialState
from service.storage.database import transaction
from service.storage.models import Trial
from tests.browser.studies import SERIAL_24, queue_trial
from tests.service.trials.test_turns import posted

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "deploy" / "slurm" / "trial-workers.sbatch"
LONG = {
    "backbone": "all-MiniLM-L6-v2",
    "task": {"name": "rotten-tomatoes", "train_rows": 64, "validation_rows": 32, "test_rows": 32},
    "training": {"epochs": 100, "max_length": 16},
}
RECORDER = """#!/bin/bash
echo "$*" >>"$RECORD"
trap 'echo told to stop >>"$RECORD"; exit 0' TERM
while true; do sleep 0.05; done
"""


def job(**environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, "SLURM_JOB_ID": "17", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    for name in ("CUDA_VISIBLE_DEVICES", "PARETUNE_DEVICE"):
        variables.pop(name, None)
    return subprocess.Popen(
        ["bash", SCRIPT], env=variables | environment, cwd=ROOT, text=True, stderr=subprocess.PIPE
    )


def wait_for_lines(file: Path, number: int) -> list[str]:
    give_up = time.monotonic() + 60
    while time.monotonic() < give_up:
        lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
        if len(lines) >= number:
            return lines
        time.sleep(0.05)
    raise AssertionError(f"{file} has not {number} lines")


def test_the_time_is_asked_for_before_it_is_over() -> None:
    """SLURM tells the script, not its children, and two minutes ahead."""
    asked = re.findall(r"^#SBATCH (.*)$", SCRIPT.read_text(encoding="utf-8"), re.MULTILINE)
    assert {"--signal=B:TERM@120", "--nodes=1"} <= set(asked)


def test_the_job_is_the_supervisor_of_its_workers(tmp_path: Path) -> None:
    """Named after the job, and in the place of the shell, so that the signal for the shell reaches it."""
    python, record = tmp_path / "python", tmp_path / "record"
    python.write_text(RECORDER, encoding="utf-8")
    python.chmod(0o755)
    process = job(PARETUNE_PYTHON=str(python), RECORD=str(record))
    wait_for_lines(record, 1)
    process.terminate()
    assert process.communicate(timeout=60)[1] == ""
    assert process.returncode == 0
    assert wait_for_lines(record, 2) == ["-m paretune.cli workers --name trials-17", "told to stop"]


@pytest.mark.nightly
@pytest.mark.usefixtures("service_environment")
def test_a_job_whose_time_is_over_gives_its_trial_back() -> None:
    """A real worker, without a GPU: the trial is queued again long before its lease has ended."""
    study_id = posted(configuration=LONG)
    queue_trial(study_id, SERIAL_24)

    def state() -> TrialState:
        with transaction() as session:
            return session.scalars(select(Trial.state).where(Trial.study_id == study_id)).one()

    process = job(PARETUNE_PYTHON=sys.executable, PARETUNE_LEASE_SECONDS="600")
    try:
        give_up = time.monotonic() + 90
        while state() is not TrialState.RUNNING:
            assert process.poll() is None
            assert time.monotonic() < give_up
            time.sleep(0.2)
    finally:
        process.terminate()
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 0, said
    assert state() is TrialState.QUEUED
