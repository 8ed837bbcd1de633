"""The same behaviour from a folder and from a real S3-compatible server; what each says when it fails."""

from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient

from service.api.app import create_app
from service.artifacts import artifact_store
from service.artifacts.artifact_store import ArtifactStore, ArtifactStoreAway, store_at
from service.settings import Settings, settings
from service.trials import sweeper

SECRETS = ("the-access-key", "the-secret-key", "127.0.0.1")


def put(store: ArtifactStore, path: str, *, patience_seconds: float = 10.0, **files: str) -> None:
    with store.new_folder(path, patience_seconds=patience_seconds) as folder:
        for name, content in files.items():
            (folder / name).write_text(content)


def use(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", url)
    settings.cache_clear()


def unreadiness() -> str:
    """What /readyz says of the store, once everything else is ready."""
    sweeper.sweep_once()
    answer = TestClient(create_app()).get("/readyz")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    (reason,) = answer.json()["errors"]
    assert reason["pointer"] == "/artifacts"
    assert not any(secret in answer.text for secret in SECRETS)
    return str(reason["detail"])


@pytest.mark.parametrize("url", ["gs://bucket/x", "memory://x", "http://host/x"])
def test_an_unknown_kind_of_store_is_refused_at_the_start(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what is known instead."""
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", url)
    with pytest.raises(ValueError, match=r"s3://BUCKET/PREFIX"):
        Settings()


def test_a_missing_bucket_is_said(
    s3_url: str, service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At startup, and for whoever asks for a file meanwhile; nothing is uploaded."""
    use("s3://no-such-bucket/x", monkeypatch)
    assert "no such bucket" in unreadiness()
    store = artifact_store.artifact_store()
    with pytest.raises(ArtifactStoreAway, match="no such bucket"):
        store.size_bytes("a")
    with pytest.raises(ArtifactStoreAway, match="no such bucket"):
        store.files("a")
    with pytest.raises(ArtifactStoreAway, match="no such bucket"):
        put(store, "a", patience_seconds=0.1, f="x")


def test_wrong_credentials_are_said(
    s3_url: str, s3_endpoint: str, service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which variables to look at, and not what is in them."""
    use(s3_url, monkeypatch)
    httpx.post(f"{s3_endpoint}/moto-api/reset-auth", content="0", timeout=30).raise_for_status()
    try:
        assert "Check AWS_ACCESS_KEY_ID" in unreadiness()
        with pytest.raises(ArtifactStoreAway, match="refuses this server"):
            artifact_store.artifact_store().size_bytes("a")
    finally:
        httpx.post(f"{s3_endpoint}/moto-api/reset-auth", content="inf", timeout=30).raise_for_status()


def test_an_unreachable_store_is_said(
    s3_url: str,
    service_environment: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It does not hold up the start, and neither answer nor log shows endpoint or credentials."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    use("s3://unreachable/x", monkeypatch)
    assert "Check AWS_ENDPOINT_URL" in unreadiness()
    assert not any(secret in line for secret in SECRETS[:2] for line in capsys.readouterr())


def test_a_folder_that_cannot_be_used_is_said(
    service_environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file stands where it should be."""
    (tmp_path / "file").write_text("x")
    use(str(tmp_path / "file" / "artifacts"), monkeypatch)
    assert "Not a directory" in unreadiness()


def test_what_breaks_off_is_not_kept(any_store: ArtifactStore) -> None:
    """No file of a folder is there while it is written, nor after a failure; on this machine neither."""
    seen: list[Path] = []

    def break_off() -> None:
        with any_store.new_folder("s/t/1") as folder:
            seen.append(folder)
            (folder / "weights").write_text("half")
            assert any_store.size_bytes("s/t/1/weights") is None
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        break_off()
    assert any_store.files("s") == []
    assert not seen[0].exists()


def test_a_new_attempt_takes_away_what_lost_ones_left(any_store: ArtifactStore) -> None:
    """Only those with smaller numbers: a worker that was asleep does not delete its successor's files."""
    for attempt in (1, 2, 10):
        put(any_store, f"s/t/{attempt}", weights="w")
    put(any_store, "s/other/1", weights="w")
    any_store.delete_earlier_attempts("s/t/2")
    assert sorted(any_store.files("s")) == ["s/other/1/weights", "s/t/10/weights", "s/t/2/weights"]


def test_a_folder_is_replaced_and_read_in_parts(
    any_store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the chunks; a file that turns out shorter is an error and no short answer."""
    monkeypatch.setattr(artifact_store, "CHUNK_BYTES", 4)
    put(any_store, "s/t/1", weights="old")
    put(any_store, "s/t/1", weights="0123456789")
    assert any_store.size_bytes("s/t/1/weights") == 10
    assert list(any_store.read("s/t/1/weights", start=1, stop=10)) == [b"1234", b"5678", b"9"]
    with pytest.raises(ArtifactStoreAway):
        list(any_store.read("s/t/1/weights", start=6, stop=12))
    with pytest.raises(ArtifactStoreAway, match="deleted while"):
        list(any_store.read("s/t/1/gone", start=0, stop=1))


def test_deleted_files_leave_nothing(any_store: ArtifactStore) -> None:
    """No empty folder either; what is gone already is no error; names may hold spaces."""
    put(any_store, "s/t/1", weights="w", **{"a name": "x"})
    put(any_store, "s/u/1", weights="w")
    assert any_store.delete(["s/t/1/weights", "s/t/1/a name", "s/t/1/never"]) == {}
    assert any_store.files("s") == ["s/u/1/weights"]
    any_store.remove_empty_folders("s/t")
    if any_store.folder is not None:
        assert [path.name for path in (any_store.folder / "s").iterdir()] == ["u"]


def test_a_local_store_may_be_a_url(tmp_path: Path) -> None:
    """`file:///FOLDER` and the plain path are the same place."""
    put(store_at(tmp_path.as_uri()), "s/t/1", weights="w")
    assert store_at(str(tmp_path)).size_bytes("s/t/1/weights") == 1


def test_a_link_in_the_folder_of_artifacts_is_no_file(tmp_path: Path) -> None:
    """Nothing of ours makes one: neither in the place of a file nor on the way to it."""
    store = artifact_store.store_at(str(tmp_path / "store"))
    put(store, "study/1", f="trained")
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "store" / "study" / "1" / "g").symlink_to(tmp_path / "secret")
    (tmp_path / "store" / "other").symlink_to(tmp_path / "store" / "study")
    assert store.size_bytes("study/1/f") == len("trained")
    assert store.size_bytes("study/1/g") is None
    assert store.size_bytes("other/1/f") is None
