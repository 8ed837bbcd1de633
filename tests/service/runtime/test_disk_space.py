"""A full disk is told as one: by the API's writes, and by /readyz."""

import errno
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.catalogue import hub, kept_uploads
from service.catalogue.backbones import by_name, packaged
from service.errors import UnknownBackbone
from service.errors.conflicts import InsufficientStorage
from service.runtime import disk_space
from service.runtime.disk_space import lack_of_space
from tests.conftest import API_KEY, Connect, study_body
from tests.service.conftest import bearer

CSV = "text,label\n" + "".join(f"text {n},{n % 2}\n" for n in range(8000))


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY), raise_server_exceptions=False)


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file of this process may grow beyond a few kilobytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_space(*_: Any, **__: Any) -> Any:
    raise OSError(errno.ENOSPC, "No space left on device", "/srv/secret")


def told(answer: Any) -> None:
    assert (answer.status_code, answer.json()["type"]) == (507, "/problems/insufficient-storage")
    assert "secret" not in answer.text


def test_an_upload_onto_a_full_disk_is_507(client: TestClient, full_disk: None, tmp_path: Path) -> None:
    """And nothing of it is left."""
    told(client.put("/v1/task_files/a.csv", content=CSV))
    assert [file for file in (tmp_path / "data").rglob("*") if file.is_file()] == []


@pytest.mark.parametrize("step", ["mkdir", "unfinished_file", "fsync", "replace"])
def test_each_step_of_an_upload_may_find_the_disk_full(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """No step turns it into a crash."""
    if step in ("mkdir", "replace"):
        monkeypatch.setattr(Path, step, no_space)
    elif step == "fsync":
        monkeypatch.setattr("os.fsync", no_space)
    else:
        monkeypatch.setattr(kept_uploads, "mkstemp", no_space)
    told(client.put("/v1/task_files/a.csv", content=CSV))


def test_a_download_onto_a_full_disk_is_507(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backbone or a data set that a posted study names."""
    monkeypatch.setattr(by_name, "_configuration", no_space)
    told(client.post("/v1/studies", json=study_body()))


def test_the_hub_and_packaged_backbones_tell_a_full_disk_from_other_faults(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the caller cannot mend is not told as the caller's."""
    monkeypatch.setattr(hub, "_answers", lambda: True)

    def download(error: OSError) -> Any:
        def fail(_: bool) -> Any:
            raise error

        return hub.from_hub("a/b", fail, refusal=UnknownBackbone, instead="", missing="")

    with pytest.raises(InsufficientStorage):
        download(OSError(errno.ENOSPC, "full"))
    with pytest.raises(InsufficientStorage):
        download(OSError(errno.EDQUOT, "quota"))
    with pytest.raises(UnknownBackbone):
        download(OSError(errno.EACCES, "no"))
    monkeypatch.setattr(packaged, "cached_assets_path", no_space)
    with pytest.raises(InsufficientStorage):
        packaged.made_once(next(iter(packaged.PACKAGED_BACKBONES)), no_space)


def test_another_fault_of_the_disk_is_a_crash(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 without its text, as ever."""

    def broken(*_: Any, **__: Any) -> Any:
        raise OSError(errno.EIO, "secret")

    monkeypatch.setattr(kept_uploads, "mkstemp", broken)
    answer = client.put("/v1/task_files/a.csv", content=CSV)
    assert answer.status_code == 500
    assert "secret" not in answer.text


def test_room_is_looked_for_where_something_will_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also below a folder that is not there yet; a probe leaves nothing."""
    assert lack_of_space(tmp_path / "not" / "there") is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(disk_space, "LEAST_FREE_BYTES", 2**70)
    assert "MiB left" in str(lack_of_space(tmp_path))


def test_a_disk_that_takes_nothing_is_found_by_writing(tmp_path: Path, full_disk: None) -> None:
    """A quota or a limit of the process shows in no number of free bytes."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    assert "cannot be written to" in str(lack_of_space(tmp_path))
