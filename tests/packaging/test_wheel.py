"""The wheel that `python -m build` makes: what is in it, and that it runs where nothing else is."""

import os
import shutil
import subprocess
import sys
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("api_schemas", "service", "workers", "migrations", "paretune")
PROOFS = {
    "api": "service.api.openapi",
    "engine": "service.optimization.suggest",
    "trials": "workers.run_trial",
    "optuna": "paretune.optuna_bridge.importing",
    "mlflow": "paretune.mlflow_bridge.exporting",
    "quantised": "bitsandbytes",
    "s3": "s3fs",
    "pandas": "pandas",
    "mcp": "paretune.mcp_server.server",
    "telemetry": "opentelemetry.exporter.otlp.proto.http",
    "embedded": "paretune.embedded_postgres, paretune.embedded_valkey",
    "docs": "material",
    "onnx": "onnx, onnxruntime, onnxscript",
    "all": "paretune.local",
}
"""What needs each extra, or what it brings, as it is imported."""
NOT_INSTALLED = {"dev", "peers"}
"""What CI itself runs in, and the benchmarks' gigabyte of other optimisers."""
OF_DEVELOPERS = {"Dockerfile", "script.py.mako"}
"""Files in the packages that make images and new migrations."""
DATABASE = {"DATABASE_URL": "postgresql://", "BROKER_URL": "redis://", "PARETUNE_ARTIFACTS_URL": "."}


CLEAN = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PARETUNE_"))}
"""The environment without what leads Python to the repository, or the command to a server."""


def run(command: Sequence[str | Path], **environment: str) -> str:
    """Run a command outside of the repository and return what it prints; what it says on failure is shown."""
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=Path(sys.prefix), env=CLEAN | environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the repository."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", source / "dist", source])
    (built,) = (source / "dist").iterdir()
    return built


def test_everything_that_runs_is_in_the_wheel_and_nothing_else(wheel: Path) -> None:
    """Modules, migrations, the dashboard, the portfolio; no tests, benchmarks or tools."""
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    there = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name not in OF_DEVELOPERS
    }
    assert packed == there
    assert {"service/studies/portfolio.json", "service/dashboard/static/index.html"} <= packed


def test_the_wheel_says_who_it_is(wheel: Path) -> None:
    """Name, version, licence, and the README as its long description."""
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        text = archive.read(metadata).decode()
    assert "Name: paretune\n" in text
    assert "License-Expression: Apache-2.0\n" in text
    assert (ROOT / "README.md").read_text(encoding="utf-8") in text


def installed(wheel: Path, folder: Path, *, extra: str = "") -> Path:
    """Install the wheel into an empty environment and return the folder of its programs."""
    venv.create(folder, with_pip=False)
    programs = folder / "bin"
    wanted = f"paretune[{extra}] @ {wheel.as_uri()}" if extra else str(wheel)
    pip = [sys.executable, "-m", "pip", "--python", programs / "python", "install", "--quiet", "--no-compile"]
    run([*pip, "--constraint", ROOT / "constraints.txt", wanted])
    return programs


@pytest.mark.nightly
@pytest.mark.slow
def test_the_wheel_alone_is_the_client(wheel: Path, tmp_path: Path) -> None:
    """The command runs, and says what a server needs."""
    programs = installed(wheel, tmp_path / "empty")
    assert run([programs / "paretune", "--version"]).strip().endswith("0.1.0")
    refused = subprocess.run([programs / "paretune", "status"], capture_output=True, text=True, env=CLEAN)
    assert refused.returncode == 1
    assert "pip install 'paretune[all]'" in refused.stdout + refused.stderr


@pytest.mark.nightly
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", PROOFS)
def test_each_extra_installs_and_loads(extra: str, wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own; what needs the extra is imported."""
    programs = installed(wheel, tmp_path / "empty", extra=extra)
    assert run([programs / "paretune", "--version"]).strip().endswith("0.1.0")
    run([programs / "python", "-c", f"import {PROOFS[extra]}"], **DATABASE)


def test_every_extra_has_a_proof() -> None:
    """A new one is tried, or named with the reason why not."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert set(project["optional-dependencies"]) == PROOFS.keys() | NOT_INSTALLED


def test_a_clone_is_found_from_the_folder_that_it_lies_in(wheel: Path, tmp_path: Path) -> None:
    """Where a user's script lies beside it, and the clone's own folder is called as the package is."""
    clone, site = tmp_path / "paretune", tmp_path / "site-packages"
    shutil.copytree(wheel.parents[1], clone, ignore=shutil.ignore_patterns("build", "dist"))
    build = f"import setuptools.build_meta as build; build.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=clone, env=CLEAN, check=True, capture_output=True)
    (made,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(made) as archive:
        archive.extractall(site)
    script = tmp_path / "use.py"
    script.write_text(
        f"import site; site.addsitedir({str(site)!r})\nimport paretune\nprint(paretune.__file__)\n"
    )
    # Without the packages of this environment: the clone under test may be installed in the same way.
    command = [sys.executable, "-S", script]
    done = subprocess.run(command, env=CLEAN, text=True, check=True, stdout=subprocess.PIPE)
    assert Path(done.stdout.strip()) == clone / "paretune" / "__init__.py"
