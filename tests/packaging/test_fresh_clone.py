"""The README's way in, as it is typed: a clone, a home with nothing in it, Python and make."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.code_blocks import ROOT, commands, of

ENVIRONMENT = ("PATH", "LANG", "PYTHON")
"""What a shell brings; beside it only where pip finds its packages."""

pytestmark = [pytest.mark.nightly, pytest.mark.timeout(3600)]


def test_the_readme_leads_from_a_clone_to_an_adapter(state_root: Path) -> None:
    """Every command of its first block ends well, and the demo leaves an adapter."""
    (typed,) = [
        commands(block) for block in of("console") if block.page == "README.md" and "make demo" in block.text
    ]
    clone, home = state_root / "clone", state_root / "home"
    home.mkdir()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    kept = {name: os.environ[name] for name in os.environ if name in ENVIRONMENT or name.startswith("PIP_")}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(typed)],
        cwd=clone,
        env={**kept, "HOME": str(home), "PARETUNE_STATE_DIR": str(state_root / "state")},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert list((clone / "results").glob("*/trial-*/load.py")), done.stdout[-3000:]
