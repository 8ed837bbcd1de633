"""A log that cannot be written costs lines, and no work."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import resource, sys
import structlog
from service.runtime.logs import configure_logs
configure_logs()
log = structlog.get_logger()
log.info("before")
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
for number in range(100):
    log.warning("while it is full", number=number)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
log.info("after")
sys.stderr.write("the work is done")
"""


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_costs_lines_and_no_work(tmp_path: Path, unbuffered: str) -> None:
    """What is logged meanwhile may be lost; once there is room, lines are written again."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            stdout=output,
            stderr=subprocess.PIPE,
            check=True,
            env={"PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": ":".join(sys.path)},
        )
    assert done.stderr == b"the work is done"
    lines = log.read_text().splitlines()
    assert json.loads(lines[0])["event"] == "before"
    assert '"event": "after"' in lines[-1]


def test_nobody_reads_the_log_any_more() -> None:
    """A pipe whose reader has gone."""
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PYTHONUNBUFFERED": "1", "PYTHONPATH": ":".join(sys.path)},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b"the work is done"
