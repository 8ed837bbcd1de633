"""One embedded Postgres and one Valkey per run; a database cloned from a migrated template per test."""

import gc
import itertools
import logging
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

# Settings are read once; these stand until a test's own database replaces them.
os.environ.setdefault("DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:1/none")
os.environ.setdefault("BROKER_URL", "redis://127.0.0.1:1/0")
os.environ.setdefault("PARETUNE_ARTIFACTS_URL", tempfile.gettempdir())

import httpx
import psycopg
import pytest
import uvicorn
from anyio.from_thread import start_blocking_portal
from fastapi import FastAPI
from fastapi.testclient import TestClient
from hypothesis import settings as settings_of_hypothesis
from sqlalchemy import Engine, QueuePool, create_engine, make_url, text
from sqlalchemy.orm import Session

from api_schemas.studies import StudyCreate
from paretune.embedded_postgres import embedded_postgres
from paretune.embedded_valkey import embedded_valkey
from service import settings
from service.access import tenants
from service.api.app import create_app
from service.api.protocol.connections import GuardedConnection
from service.artifacts import artifact_store
from service.runtime import broker
from service.storage import database, schema_version

settings_of_hypothesis.register_profile("sample", max_examples=25, deadline=None)
settings_of_hypothesis.register_profile("nightly", max_examples=200, deadline=None)
settings_of_hypothesis.load_profile("sample")  # `--hypothesis-profile` comes later and has its way

API_KEY = "pt_test_key_of_the_very_first_tenant"
OTHER_KEY = "pt_test_key_of_the_second_tenant"
_numbers = itertools.count()


NEEDS = {
    "postgres": {"postgres_url"},
    "server": {"state_root", "shared_stack", "stack_to_break", "restarted"},
    "browser": {"browser"},
}
"""A marker for each thing that a test may need, and the fixtures that bring it."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark tests by what their fixtures need; leave the nightly ones out unless `-m` names them."""
    for item in items:
        for need, fixtures in NEEDS.items():
            if not fixtures.isdisjoint(getattr(item, "fixturenames", ())):
                item.add_marker(need)
    if "nightly" in config.option.markexpr:
        return
    deselected = [item for item in items if item.get_closest_marker("nightly")]
    if deselected:
        config.hook.pytest_deselected(items=deselected)
        items[:] = [item for item in items if not item.get_closest_marker("nightly")]


def pytest_collection_finish() -> None:
    """Keep what is imported by now out of later garbage collections: a million objects that stay."""
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Write half surrogate pairs of captured output out: reports travel between processes as UTF-8."""
    report = yield
    report.sections = [
        (title, text.encode("utf-8", "backslashreplace").decode()) for title, text in report.sections
    ]
    return report


def examples(few: int) -> int:
    """Return how many examples an expensive test draws: few, and ten times as many under `nightly`."""
    return few * 10 if settings_of_hypothesis.get_current_profile_name() == "nightly" else few


def sampled(values: Iterable[Any], *, keep: Collection[Any]) -> list[Any]:
    """Return values to parametrise a test with: some for every run, the others for `nightly` alone."""
    return [
        value
        if value in keep
        else pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.nightly)
        for value in values
    ]


@contextmanager
def reachable_directory() -> Iterator[Path]:
    """A temporary folder that the database's user may pass through; pytest's own is private to root."""
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture
def state_root() -> Iterator[Path]:
    with reachable_directory() as directory:
        yield directory


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    with reachable_directory() as directory, embedded_postgres(directory, fsync=False) as url:
        yield url


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


def run_on(url: str, statement: str) -> None:
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()


def renamed(url: str, name: str) -> str:
    return make_url(url).set(database=name).render_as_string(hide_password=False)


@pytest.fixture(scope="session")
def template_database(postgres_url: str) -> str:
    run_on(postgres_url, "CREATE DATABASE template_paretune")
    engine = create_engine(renamed(postgres_url, "template_paretune"))
    schema_version.upgrade(engine)
    with Session(engine) as session, session.begin():
        tenants.register_key(session, API_KEY)
        tenants.register_key(session, OTHER_KEY, tenant_name="other")
    engine.dispose()
    return "template_paretune"


@pytest.fixture(scope="session")
def administrator(postgres_url: str) -> Iterator[psycopg.Connection]:
    """The connection that makes and drops databases."""
    with psycopg.connect(postgres_url.replace("+psycopg", ""), autocommit=True) as connection:
        yield connection


@pytest.fixture
def database_url(postgres_url: str, template_database: str, administrator: psycopg.Connection) -> str:
    """A new database, always of the same name: the engines on it keep the statements that they compiled."""
    name = f"test_{os.getpid()}"
    administrator.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
    administrator.execute(f"CREATE DATABASE {name} TEMPLATE {template_database}")
    return renamed(postgres_url, name)


@pytest.fixture
def service_environment(
    database_url: str, valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """The service's own settings, engine and broker, on this test's database and the run's Valkey."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BROKER_URL", valkey_url)
    monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", str(tmp_path / "artifacts"))
    monkeypatch.setenv("PARETUNE_DATA_DIR", str(tmp_path / "data"))
    settings.settings.cache_clear()
    for connect in (database.engine, database.engine_of_single_reads):
        if connect().url != make_url(database_url):
            connect.cache_clear()
        # Before any thread starts: two that ask for it first at once would make two, and one stay open.
        connect()
    monkeypatch.setattr(broker.celery_app.conf, "broker_url", valkey_url)
    monkeypatch.setattr(broker.celery_app.conf, "broker_write_url", valkey_url)
    broker.celery_app.set_current()
    yield
    for opened in (database.engine(), database.engine_of_single_reads()):
        close(opened)
    settings.settings.cache_clear()


def close(engine: Engine) -> None:
    """Dispose of an engine once the threads of a stopped application have returned their connections.

    What is returned to a pool that has been disposed of is closed by nobody.
    """
    give_up = time.monotonic() + 10
    while isinstance(engine.pool, QueuePool) and engine.pool.checkedout() and time.monotonic() < give_up:
        time.sleep(0.01)
    engine.dispose()


@cache
def application() -> FastAPI:
    """Return the application for all tests that change none of the settings that it is made with."""
    return create_app()


Connect = Callable[..., TestClient]


@pytest.fixture(scope="session")
def connect() -> Iterator[Connect]:
    """Makes clients of an application on one event loop: a loop for each request costs more than the request.

    The application is not started: no sweeper takes leases back but the one that a test runs.
    """
    with start_blocking_portal() as loop:

        def connected(app: FastAPI | None = None, **options: Any) -> TestClient:
            client = TestClient(app or application(), **options)
            client.portal = loop
            return client

        yield connected


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """A store that speaks S3 over HTTP; `INITIAL_NO_AUTH_ACTION_COUNT` of moto lets every key in."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3_url(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, with a prefix in it."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-access-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-key")
    bucket = f"bucket-{next(_numbers)}"
    httpx.put(f"{s3_endpoint}/{bucket}", timeout=30).raise_for_status()
    return f"s3://{bucket}/a/prefix"


@pytest.fixture(params=["folder", "s3"])
def any_store(
    request: pytest.FixtureRequest, service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> artifact_store.ArtifactStore:
    """The service's artifact store: once a folder, once a bucket."""
    if request.param == "s3":
        monkeypatch.setenv("PARETUNE_ARTIFACTS_URL", request.getfixturevalue("s3_url"))
        settings.settings.cache_clear()
    return artifact_store.artifact_store()


@pytest.fixture
def session(service_environment: None) -> Iterator[Session]:
    with Session(database.engine(), expire_on_commit=False) as opened:
        yield opened


@pytest.fixture
def server_url(service_environment: None) -> Iterator[str]:
    """The real application on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(create_app(), http=GuardedConnection, log_config=None, lifespan="on")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(timeout=10)


@pytest.fixture
def study_request() -> Callable[..., StudyCreate]:
    return make_study_request


def make_study_request(**changes: object) -> StudyCreate:
    return StudyCreate.model_validate(study_body(**changes))


def study_body(**changes: object) -> dict[str, object]:
    return {
        "display_name": "a study",
        "configuration": {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}},
        "search_space": {"preset": "autopeft"},
        "objectives": [
            {"metric": "score", "direction": "maximize"},
            {"metric": "trainable_parameters", "direction": "minimize"},
        ],
        "budget": {"trials": 4},
        **changes,
    }
