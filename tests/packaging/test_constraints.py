"""What `make install` pins can be installed where the README says that Paretune runs."""

import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def test_every_pin_runs_on_the_oldest_python() -> None:
    """Not the newest patch of it only: Debian 12 has 3.11.2."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    oldest = f"{project['requires-python'].removeprefix('>=')}.0"
    constraints = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    found = re.findall(r"^([\w.-]+)==(\S+)", constraints, re.MULTILINE)
    pins = {canonicalize_name(name): version for name, version in found}
    pinned = [one for one in distributions() if pins.get(canonicalize_name(one.name)) == one.version]
    assert len(pinned) > len(pins) / 2
    needs = {one.name: SpecifierSet(one.metadata.get("Requires-Python") or "") for one in pinned}
    assert [f"{name} needs {python}" for name, python in needs.items() if not python.contains(oldest)] == []
