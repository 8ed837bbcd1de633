"""Downloads that break off go on, and what arrives damaged does not stay."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paretune.client import AsyncClient, Client
from paretune.errors import DamagedDownload, RequestRefused
from service.artifacts import artifact_store
from service.artifacts.artifact_store import ArtifactStore, ArtifactStoreAway
from tests.conftest import API_KEY
from tests.service.api.protocol.test_artifact_downloads import CONTENT, stored_file

Download = Callable[[str, str, Path], None]


def blocking(server_url: str, url: str, to: Path) -> None:
    _, _, _, study_id, _, trial_id, _, name = url.split("/")
    with Client(server_url, api_key=API_KEY) as client:
        client.download_artifact(study_id, trial_id, name, to=to)


def awaited(server_url: str, url: str, to: Path) -> None:
    _, _, _, study_id, _, trial_id, _, name = url.split("/")

    async def use() -> None:
        async with AsyncClient(server_url, api_key=API_KEY) as client:
            await client.download_artifact(study_id, trial_id, name, to=to)

    asyncio.run(use())


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Where each read began; the first of them breaks off after 100 bytes."""
    begun: list[int] = []
    whole_read = ArtifactStore.read

    def broken_read(store: ArtifactStore, path: str, *, start: int, stop: int) -> Iterator[bytes]:
        begun.append(start)
        if len(begun) > 1:
            yield from whole_read(store, path, start=start, stop=stop)
        else:
            yield from whole_read(store, path, start=start, stop=100)
            raise ArtifactStoreAway("it broke off")

    monkeypatch.setattr(ArtifactStore, "read", broken_read)
    return begun


@pytest.mark.parametrize("download", [blocking, awaited])
def test_a_broken_download_goes_on_where_it_broke_off(
    server_url: str, tmp_path: Path, reads: list[int], download: Download
) -> None:
    """The file is whole, its hash is right, and nothing else lies beside it."""
    url, _ = stored_file(artifact_store.artifact_store())
    (tmp_path / "out").mkdir()
    download(server_url, url, tmp_path / "out" / "weights")
    assert (tmp_path / "out" / "weights").read_bytes() == CONTENT
    assert reads == [0, 100]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["weights"]


def test_a_damaged_file_does_not_stay(server_url: str, tmp_path: Path) -> None:
    """The server still has the hash of what was saved; an older download of the file stays as it was."""
    url, _ = stored_file(artifact_store.artifact_store(), content=CONTENT[::-1])
    (tmp_path / "weights").write_text("from before")
    with pytest.raises(DamagedDownload, match="Download it again"):
        blocking(server_url, url, tmp_path / "weights")
    assert (tmp_path / "weights").read_text() == "from before"
    assert not list(tmp_path.glob("*.partial")) + list(tmp_path.glob(".*.partial"))


@pytest.mark.parametrize("left", [CONTENT[:50], CONTENT, CONTENT + b"more"])
def test_what_an_earlier_download_left_is_used(server_url: str, tmp_path: Path, left: bytes) -> None:
    """Its beginning; what is as long as the file or longer is fetched anew."""
    url, _ = stored_file(artifact_store.artifact_store())
    trial_id = url.split("/")[5]
    (tmp_path / f".weights.{trial_id}.partial").write_bytes(left)
    blocking(server_url, url, tmp_path / "weights")
    assert (tmp_path / "weights").read_bytes() == CONTENT


def test_a_lost_file_is_refused(server_url: str, tmp_path: Path) -> None:
    """With the server's advice, and without a file."""
    url, path = stored_file(artifact_store.artifact_store())
    artifact_store.artifact_store().delete([path])
    with pytest.raises(RequestRefused, match="Restore it from a backup"):
        blocking(server_url, url, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()
