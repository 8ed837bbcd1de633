"""Whether a GPU can be seen, by the driver's files and the variables that hide devices."""

from pathlib import Path

import pytest

from paretune.gpus import gpu_is_visible


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
