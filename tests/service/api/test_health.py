"""When the service says that it can take work."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import redis
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from paretune.embedded_valkey import embedded_valkey
from service.api.app import create_app
from service.runtime import disk_space
from service.runtime.broker_address import redis_url
from service.settings import settings
from service.trials import sweeper
from tests.conftest import Connect


@pytest.fixture
def client(service_environment: None, connect: Connect) -> TestClient:
    return connect()


def reasons(client: TestClient) -> dict[str, str]:
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.headers["content-type"] == "application/problem+json"
    return {item["pointer"]: item["detail"] for item in response.json()["errors"]}


@pytest.mark.parametrize(
    ("revision", "cure"),
    [("0001", "run `paretune migrate`"), ("9999", "start the version that made it")],
)
def test_not_ready_with_the_schema_of_another_version(
    client: TestClient, session: Session, revision: str, cure: str
) -> None:
    """Behind or ahead, the answer says what to do; the process itself is alive."""
    session.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})
    session.commit()
    assert cure in reasons(client)["/migrations"]
    assert client.get("/healthz").status_code == 200


def test_a_started_application_is_ready_at_once(service_environment: None) -> None:
    """Its first sweep comes before its first request."""
    with TestClient(create_app()) as client:
        assert client.get("/readyz").status_code == 200


def test_not_ready_while_nobody_takes_lost_trials_back(client: TestClient, session: Session) -> None:
    """Before the first sweep, and when sweeps have stopped; one sweep makes it ready."""
    assert "has never run" in reasons(client)["/sweeper"]
    sweeper.sweep_once()
    assert client.get("/readyz").json() == {"status": "ready"}
    session.execute(text("UPDATE heartbeats SET beaten_at = now() - interval '21 seconds'"))
    session.commit()
    assert "has not run for 21 s" in reasons(client)["/sweeper"]


@pytest.fixture
def own_broker(client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[redis.Redis]:
    """A broker of the test's own, to be configured; the rest of the service is ready."""
    sweeper.sweep_once()
    with embedded_valkey(tmp_path / "valkey") as url, redis.Redis.from_url(redis_url(url)) as connected:
        monkeypatch.setenv("BROKER_URL", url)
        settings.cache_clear()
        assert client.get("/readyz").json() == {"status": "ready"}
        yield connected


def detail(client: TestClient) -> str:
    """What a degraded service says."""
    answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    return str(answer.json()["detail"])


def test_degraded_while_the_broker_has_no_memory_left(client: TestClient, own_broker: redis.Redis) -> None:
    """It answers a ping and takes no message."""
    own_broker.config_set("maxmemory", 1)
    assert own_broker.ping()
    assert "maxmemory" in detail(client)
    own_broker.config_set("maxmemory", 0)
    assert client.get("/readyz").json() == {"status": "ready"}


def test_degraded_while_the_broker_is_a_replica(client: TestClient, own_broker: redis.Redis) -> None:
    """It only reads."""
    own_broker.replicaof("127.0.0.1", "1")
    assert "read only replica" in detail(client)


def test_degraded_while_the_broker_cannot_save(
    client: TestClient, own_broker: redis.Redis, tmp_path: Path
) -> None:
    """MISCONF: its disk is full, or something is in the way of its file."""
    own_broker.config_set("appendonly", "no")
    own_broker.config_set("save", "1 1")
    (tmp_path / "valkey" / "dump.rdb").mkdir()
    own_broker.bgsave()
    while own_broker.info("persistence")["rdb_bgsave_in_progress"]:
        pass
    assert "MISCONF" in detail(client)
    own_broker.config_set("save", "")  # or it would not end


def test_degraded_while_the_broker_is_away(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its address is nobody's business."""
    sweeper.sweep_once()
    monkeypatch.setenv("BROKER_URL", "redis://:hunter2@127.0.0.1:1/0")
    settings.cache_clear()
    told = detail(client)
    assert "does not answer" in told
    assert "hunter2" not in told


def test_degraded_while_a_disk_is_full(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each disk that the API needs is named."""
    sweeper.sweep_once()
    free = disk_space.LEAST_FREE_BYTES - 1
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(total=free, used=0, free=free))
        told = detail(client)
    assert "artifact store has 64 MiB left" in told
    assert "folder of uploads has 64 MiB left" in told
    assert client.get("/readyz").json() == {"status": "ready"}


def test_degraded_while_a_folder_takes_no_file(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read-only, gone, or without inodes: the numbers of free bytes do not tell."""
    sweeper.sweep_once()
    monkeypatch.setenv("PARETUNE_DATA_DIR", "/proc/nobody/writes/here")
    settings.cache_clear()
    assert "folder of uploads cannot be written to" in detail(client)
