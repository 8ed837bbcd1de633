"""Downloads: whole, in part, described, unchanged; lost and damaged files; from a folder and from S3."""

import base64
import hashlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from api_schemas.trials import ArtifactRecord
from service.api.protocol.artifact_downloads import Part, RangeNotSatisfiable, Wanted, part_wanted
from service.artifacts.artifact_store import ArtifactStore, artifact_store
from service.trials import leases
from tests.conftest import API_KEY, Connect
from tests.service.conftest import bearer
from tests.service.trials.test_leases import REPORT, stored_study

CONTENT = bytes(range(256))
SHA256 = hashlib.sha256(CONTENT)
TAG = f'"{SHA256.hexdigest()}"'
DIGEST = f"sha-256=:{base64.b64encode(SHA256.digest()).decode()}:"
WHOLE = None


def stored_file(store: ArtifactStore, content: bytes = CONTENT) -> tuple[str, str]:
    """A trial's file: its URL, and its path in the store."""
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    assert claimed.artifacts_path is not None
    with store.new_folder(claimed.artifacts_path) as folder:
        (folder / "weights").write_bytes(content)
    path = f"{claimed.artifacts_path}/weights"
    record = ArtifactRecord(name="weights", path=path, sha256=SHA256.hexdigest(), size_bytes=len(CONTENT))
    leases.complete(claimed.trial_id, 1, REPORT.model_copy(update={"artifacts": (record,)}))
    return f"/v1/studies/{study_id}/trials/{claimed.trial_id}/artifacts/weights", path


@pytest.fixture
def client(any_store: ArtifactStore, connect: Connect) -> TestClient:
    return connect(headers=bearer(API_KEY))


@pytest.mark.parametrize(
    ("asked", "part"),
    [
        ("bytes=0-0", Part(0, 1)),
        ("bytes=0-99", Part(0, 100)),
        ("BYTES=10-", Part(10, 100)),
        ("bytes=90-1000", Part(90, 100)),
        ("bytes=-1", Part(99, 100)),
        ("bytes=-1000", Part(0, 100)),
        ("bytes=5-4", WHOLE),
        ("bytes=-", WHOLE),
        ("bytes=0-1,3-4", WHOLE),
        ("bytes = 0-1", WHOLE),
        ("bytes=\u0661-", WHOLE),
        ("rows=0-1", WHOLE),
        ("", WHOLE),
    ],
)
def test_ranges_are_read_as_the_rfc_says(asked: str, part: Part | None) -> None:
    """What is malformed, in another unit or of several parts is ignored: all comes."""
    assert part_wanted(Wanted(asked, None), size_bytes=100, tag=TAG) == part


@pytest.mark.parametrize("asked", ["bytes=100-", "bytes=100-200", "bytes=-0", f"bytes={'9' * 999}-"])
def test_a_range_beyond_the_end_is_refused(asked: str) -> None:
    """With the size, so that the client can ask again."""
    with pytest.raises(RangeNotSatisfiable) as refused:
        part_wanted(Wanted(asked, None), size_bytes=100, tag=TAG)
    assert refused.value.headers["Content-Range"] == "bytes */100"


@given(first=st.integers(0, 300), length=st.integers(1, 300), size=st.integers(1, 200))
def test_parts_are_what_slices_are(first: int, length: int, size: int) -> None:
    """Of any file, at any place."""
    content = bytes(range(size))
    asked = Wanted(f"bytes={first}-{first + length - 1}", None)
    if first >= size:
        with pytest.raises(RangeNotSatisfiable):
            part_wanted(asked, size_bytes=size, tag=TAG)
    else:
        part = part_wanted(asked, size_bytes=size, tag=TAG)
        assert part is not None
        assert content[part.start : part.stop] == content[first : first + length]


@pytest.mark.parametrize("tag", ['"another"', f"W/{TAG}", "Sat, 29 Oct 1994 19:43:31 GMT", "*"])
def test_another_version_comes_whole(tag: str) -> None:
    """`If-Range` compares strongly; there are no dates to compare. An empty file has no parts."""
    assert part_wanted(Wanted("bytes=0-1", tag), size_bytes=100, tag=TAG) is WHOLE
    assert part_wanted(Wanted("bytes=0-1", TAG), size_bytes=100, tag=TAG) == Part(0, 2)
    assert part_wanted(Wanted("bytes=-1", None), size_bytes=0, tag=TAG) is WHOLE


def lose(store: ArtifactStore, path: str) -> None:
    store.delete([path])


def cut(store: ArtifactStore, path: str) -> None:
    with store.new_folder(path.rpartition("/")[0]) as folder:
        (folder / "weights").write_bytes(b"half")


@pytest.mark.parametrize(("harm", "told"), [(lose, "is gone"), (cut, "has 4 bytes")])
def test_a_lost_file_says_what_to_do(
    client: TestClient, any_store: ArtifactStore, harm: Callable[[ArtifactStore, str], None], told: str
) -> None:
    """410 before any byte is sent; HEAD says so, too."""
    url, path = stored_file(any_store)
    harm(any_store, path)
    answer = client.get(url)
    assert (answer.status_code, answer.headers["content-type"]) == (410, "application/problem+json")
    assert answer.json()["type"] == "/problems/artifact-lost"
    assert told in answer.json()["detail"]
    assert "Restore it from a backup" in answer.json()["detail"]
    assert client.head(url).status_code == 410


def test_downloads_from_a_store_that_stalls_hold_up_nobody_else(
    server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More wait than there are threads; a heartbeat is answered meanwhile, and at last they are, too."""
    url, _ = stored_file(artifact_store())
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    recovered = threading.Event()

    def read(*_: object, **__: object) -> Iterator[bytes]:
        recovered.wait(timeout=60)
        yield CONTENT

    monkeypatch.setattr(ArtifactStore, "read", read)
    heartbeat = f"{server_url}/v1/studies/{study_id}/trials/{claimed.trial_id}:heartbeat"
    key = bearer(API_KEY)
    with ThreadPoolExecutor(60) as pool:
        try:
            begun = [threading.Event() for _ in range(60)]
            downloads = [pool.submit(downloaded, server_url + url, event) for event in begun]
            assert all(event.wait(timeout=60) for event in begun)
            beaten = httpx.post(heartbeat, json={"attempt": claimed.attempt}, headers=key, timeout=10)
            assert beaten.status_code == 200
        finally:
            recovered.set()
        assert [download.result() for download in downloads] == [CONTENT] * 60


def downloaded(url: str, begun: threading.Event) -> bytes:
    with httpx.stream("GET", url, headers=bearer(API_KEY), timeout=60) as answer:
        begun.set()
        answer.raise_for_status()
        return answer.read()


def test_a_file_comes_whole_in_part_and_as_headers_alone(
    client: TestClient, any_store: ArtifactStore
) -> None:
    """With size, strong tag and digest each time; a tag that is known is answered without the store."""
    url, path = stored_file(any_store)
    whole = client.get(url)
    assert (whole.status_code, whole.content) == (200, CONTENT)
    always = {"ETag": TAG, "Accept-Ranges": "bytes", "Repr-Digest": DIGEST}
    for headers in (whole.headers, client.head(url).headers):
        assert {**always, "Content-Digest": DIGEST, "Content-Length": "256"}.items() <= {
            name: headers.get(name) for name in (*always, "Content-Digest", "Content-Length")
        }.items()
    part = client.get(url, headers={"Range": "bytes=-6", "If-Range": TAG})
    assert (part.status_code, part.content) == (206, CONTENT[-6:])
    assert part.headers["Content-Range"] == "bytes 250-255/256"
    assert (part.headers["Repr-Digest"], part.headers.get("Content-Digest")) == (DIGEST, None)
    beyond = client.get(url, headers={"Range": "bytes=256-"})
    assert (beyond.status_code, beyond.json()["type"]) == (416, "/problems/range-not-satisfiable")
    assert beyond.headers["Content-Range"] == "bytes */256"
    any_store.delete([path])
    for method in ("GET", "HEAD"):
        known = client.request(method, url, headers={"If-None-Match": f'"x", W/{TAG}', "Range": "bytes=0-1"})
        assert (known.status_code, known.content, known.headers["ETag"]) == (304, b"", TAG)
