"""Which GPUs can be seen: by the driver's files, by variables, by NVIDIA's tool and by torch."""

import os
from pathlib import Path

import pytest

from paretune.gpus import gpu_is_visible, listed_gpus, visible_gpus


@pytest.fixture(autouse=True)
def nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def test_no_driver_is_no_gpu(tmp_path: Path) -> None:
    """Its control files alone are none either."""
    (tmp_path / "nvidiactl").touch()
    assert not gpu_is_visible(tmp_path)


@pytest.mark.parametrize("device", ["nvidia0", "dxg", "kfd"])
def test_a_device_is_one(tmp_path: Path, device: str) -> None:
    """Of either maker, and under WSL."""
    (tmp_path / device).touch()
    assert gpu_is_visible(tmp_path)


def test_a_device_that_is_hidden_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch takes it, so that what is said is what will be."""
    (tmp_path / "nvidia0").touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert not gpu_is_visible(tmp_path)


DIVIDED = """GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6-d33d-2b2c-524d-9e3d8d2b8a77)
  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)
  MIG 1g.5gb      Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-1e3d1a0f-0b2c-4c5d-8a7e-6f5e4d3c2b1a)
"""


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("2,5", ["2", "5"]),
        (" 0 , GPU-5d5b ", ["0", "GPU-5d5b"]),
        ("1,1", ["1"]),
        ("0,-1,1", ["0"]),
        ("-1", []),
        ("", []),
    ],
)
def test_gpus_that_are_named_are_those(
    named: str, wanted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As CUDA reads them: nothing counts from the first entry on that is none."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", named)
    assert visible_gpus() == wanted


def test_a_divided_gpu_is_its_parts() -> None:
    """A process can use one part only, and the whole of a divided GPU is none."""
    assert listed_gpus(DIVIDED) == [
        "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f",
        "MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb",
        "GPU-1e3d1a0f-0b2c-4c5d-8a7e-6f5e4d3c2b1a",
    ]
    assert listed_gpus("No devices found.\n") == []


def test_the_tool_of_the_driver_lists_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked where a driver is and no variable names them; in vain, if the driver is out of order."""
    (tmp_path / "nvidia0").touch()
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\ncat <<'END'\n{DIVIDED}END\n", encoding="ascii")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert len(visible_gpus(tmp_path)) == 3
    tool.write_text("#!/bin/sh\nexit 9\n", encoding="ascii")
    monkeypatch.setattr("paretune.gpus.COUNT", "print(2)")
    assert visible_gpus(tmp_path) == ["0", "1"]
    monkeypatch.setenv("NVIDIA_VISIBLE_DEVICES", "void")
    assert visible_gpus(tmp_path) == []
