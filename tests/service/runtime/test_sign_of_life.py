"""A worker shows that it hears wake-ups."""

import logging
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from kombu.asynchronous import Hub

from paretune import commands
from paretune.child_process import python_child
from service.runtime import sign_of_life
from service.runtime.sign_of_life import SignOfLife
from service.settings import settings


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    file = tmp_path / "signs" / "alive"
    file.parent.mkdir()
    monkeypatch.setenv("PARETUNE_ALIVE_FILE", str(file))
    settings.cache_clear()
    yield file
    settings.cache_clear()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """An event loop as Celery has it, with the step on it."""
    monkeypatch.setattr(sign_of_life, "SECONDS", 0.001)
    hub = Hub()
    SignOfLife(None).register_with_event_loop(None, hub)
    yield hub
    hub.close()


def turn(hub: Hub, times: int = 5) -> None:
    for _ in range(times):
        time.sleep(0.002)
        hub.run_once()


def test_a_folder_that_takes_no_file_ends_nothing(
    file: Path, hub: Hub, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and once the folder is there again so is the file."""
    file.parent.rmdir()
    with caplog.at_level(logging.CRITICAL + 1, logger="kombu.asynchronous.hub"):
        turn(hub)
    file.parent.mkdir()
    turn(hub)
    assert file.exists()


def test_the_file_is_touched_again_and_again(file: Path, hub: Hub) -> None:
    """As long as the loop turns."""
    turn(hub)
    file.unlink()
    turn(hub)
    assert file.exists()


def test_without_the_setting_there_is_no_file(
    file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A laptop's workers have none."""
    monkeypatch.delenv("PARETUNE_ALIVE_FILE")
    settings.cache_clear()
    hub = Hub()
    SignOfLife(None).register_with_event_loop(None, hub)
    turn(hub)
    hub.close()
    assert not file.exists()


def test_a_real_worker_gives_its_sign(service_environment: None, file: Path, tmp_path: Path) -> None:
    """A trial worker, by its own command, once it is connected."""
    worker = python_child(
        "alive",
        commands.trial_worker("alive"),
        log=tmp_path / "worker.log",
        environment={},
        stop_signal=signal.SIGQUIT,
    )
    worker.start()
    try:
        give_up = time.monotonic() + 60
        while not file.exists():
            worker.check()
            assert time.monotonic() < give_up
            time.sleep(0.05)
        assert "Connected to redis" in worker.log.read_text(encoding="utf-8")
    finally:
        worker.stop()
