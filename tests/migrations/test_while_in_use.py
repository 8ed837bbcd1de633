"""Migrations under load: tables full of rows, transactions that do not end, workers of the version before."""

import os
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, create_engine, event, func, select, text
from sqlalchemy.orm import Session

from api_schemas.log_tail import LastLines
from api_schemas.studies import StudyState
from api_schemas.trials import ArtifactRecord, Measurement
from service.storage import database, schema_version
from service.storage.base_table import Base
from service.storage.database import transaction
from service.storage.models import IdempotencyKey, Study, Tenant, Trial
from service.storage.schema_version import SchemaInUse, alembic_config, expected_revision, upgrade
from service.storage.webhook_models import Webhook
from service.trials import leases, sweeper
from service.trials.beliefs import record_belief
from service.trials.slices import record_slices
from service.trials.worker_health import report_degraded
from tests.conftest import renamed, run_on
from tests.service.api.read_models.test_slices import ALONG
from tests.service.studies.invariants import check_study
from tests.service.trials.test_beliefs import belief
from tests.service.trials.test_leases import REPORT, stored_study

ROOT = Path(__file__).parents[2]
REVISIONS = [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]
"""Newest first."""

CONTRACTING = {"0002", "0006"}
"""Older than the rule that a migration only expands: stop the workers before these."""

CONTRACTIONS = (
    r"DROP TABLE",
    r"DROP COLUMN",
    r"ALTER TABLE \S+ RENAME",
    r"ALTER COLUMN \S+ (TYPE|SET NOT NULL|DROP DEFAULT)",
    r"ADD COLUMN (?!.*DEFAULT).*NOT NULL",
)


@contextmanager
def empty_database(postgres_url: str, name: str) -> Iterator[Engine]:
    run_on(postgres_url, f"CREATE DATABASE {name}")
    engine = create_engine(renamed(postgres_url, name))
    yield engine
    engine.dispose()
    run_on(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def revision_of(engine: Engine) -> str:
    with engine.connect() as connection:
        return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one())


def fill_every_table() -> str:
    """Let a study live until each table has a row of it; give its id. Its last trial still waits."""
    with transaction() as session:
        tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == "default")).one()
        session.add(
            Webhook(id="whk_1", tenant_id=tenant_id, url="https://x.org/", event_types=[], secret="s")
        )
        key = IdempotencyKey(tenant_id=tenant_id, key="k", request_hash="h", status=200, body="{}")
        session.add(key)
    study_id = stored_study(trials=2)
    claimed = leases.claim("w")
    assert claimed is not None
    leases.record_measurement(claimed.trial_id, 1, Measurement(step=1, metrics={"score": 0.5}))
    leases.store_log(claimed.trial_id, 1, LastLines("step 1", 0))
    record = ArtifactRecord(name="a", path="a", sha256="0" * 64, size_bytes=1)
    leases.complete(claimed.trial_id, 1, REPORT.model_copy(update={"artifacts": (record,)}))
    with transaction() as session:
        study = session.get_one(Study, study_id, with_for_update=True)
        record_belief(session, study, belief(1, "b"))
        record_slices(session, study, [ALONG], observations=1)
    sweeper.sweep_once()
    report_degraded("host", reason="its disk is full")
    return study_id


def test_every_migration_goes_back_and_forth_over_rows(service_environment: None) -> None:
    """One at a time from the newest to the first and back, with rows in every table; the study goes on."""
    study_id = fill_every_table()
    engine = database.engine()
    with transaction() as session:
        empty = [
            table.name
            for table in Base.metadata.sorted_tables
            if not session.execute(select(func.count()).select_from(table)).scalar_one()
        ]
    assert empty == []
    for revision in REVISIONS[1:]:
        with engine.begin() as connection:
            command.downgrade(alembic_config(connection), revision)
    assert revision_of(engine) == "0001"
    for revision in reversed(REVISIONS[:-1]):
        with engine.begin() as connection:
            command.upgrade(alembic_config(connection), revision)
    with transaction() as session:
        command.check(alembic_config(session.connection()))
        states = session.scalars(select(Trial.state).where(Trial.study_id == study_id).order_by(Trial.number))
        assert [state.value for state in states] == ["SUCCEEDED", "QUEUED"]
    claimed = leases.claim("w")
    assert claimed is not None
    leases.complete(claimed.trial_id, claimed.attempt, REPORT)
    with transaction() as session:
        assert session.get_one(Study, study_id).state is StudyState.SUCCEEDED


def test_a_migration_that_meets_a_long_transaction_gives_up(
    service_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sentence says what to do, nothing has changed, trials go on; afterwards it succeeds."""
    monkeypatch.setattr(schema_version, "LOCK_TIMEOUT_SECONDS", 0.2)
    study_id = stored_study(trials=1)
    engine = database.engine()
    with engine.begin() as connection:
        command.downgrade(alembic_config(connection), REVISIONS[-1])
    with engine.begin() as long_transaction:
        long_transaction.execute(text("SELECT count(*) FROM studies"))
        with pytest.raises(SchemaInUse, match=r"for 0\.2 s.*left as it is\. Run `paretune migrate` again"):
            upgrade(engine)
        assert revision_of(engine) == REVISIONS[-1]
        with engine.begin() as another:
            tables = another.execute(text("SELECT to_regclass('replicates'), to_regclass('webhooks')")).one()
            assert tuple(tables) == (None, None)
            another.execute(text("UPDATE studies SET display_name = 'served'"))
    upgrade(engine)
    assert revision_of(engine) == expected_revision()
    with transaction() as session:
        assert session.get_one(Study, study_id).display_name == "served"


def test_migrations_only_expand(postgres_url: str) -> None:
    """Nothing that a worker of the version before reads or leaves out is dropped, renamed or required."""
    found: dict[str, list[str]] = {}
    with empty_database(postgres_url, "only_expand") as engine:
        for revision in reversed(REVISIONS):
            statements: list[str] = []

            def note(*arguments: object, statements: list[str] = statements) -> None:
                statements.append(" ".join(str(arguments[2]).split()))

            event.listen(engine, "before_cursor_execute", note)
            with engine.begin() as connection:
                command.upgrade(alembic_config(connection), revision)
            event.remove(engine, "before_cursor_execute", note)
            contracting = [one for one in statements if re.search("|".join(CONTRACTIONS), one, re.IGNORECASE)]
            if contracting:
                found[revision] = contracting
    assert set(found) == CONTRACTING, found


OLD_WORKER = """
import sys
from api_schemas.trials import Measurement, TrialReport, TrialState
try:
    from service import leases, sweeper  # where versions before the rooms had them
except ImportError:
    from service.trials import leases, sweeper
assert leases.__file__.startswith(sys.argv[1])
claimed = leases.claim("the version before")
leases.heartbeat(claimed.trial_id, claimed.attempt)
leases.record_measurement(claimed.trial_id, claimed.attempt, Measurement(step=1, metrics={"score": 0.5}))
sweeper.sweep_once()
metrics = {"score": 0.7, "trainable_parameters": 1000.0}
leases.complete(claimed.trial_id, claimed.attempt, TrialReport(state=TrialState.SUCCEEDED, metrics=metrics))
"""


def git(*arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True).stdout


@cache
def commit_before_the_newest_migration() -> str | None:
    """Give the last commit of the main line without it; None where the history does not reach back."""
    (newest,) = (ROOT / "migrations" / "versions").glob(f"{REVISIONS[0]}_*.py")
    path = str(newest.relative_to(ROOT))
    try:
        line = git("rev-list", "--first-parent", "--max-count=500", "HEAD").decode().split()
    except (subprocess.CalledProcessError, FileNotFoundError):
        return None
    return next((commit for commit in line if not git("ls-tree", "--name-only", commit, path)), None)


def test_a_worker_of_the_version_before_completes_a_trial(service_environment: None, tmp_path: Path) -> None:
    """The code of the last commit before the newest migration, on the schema after it."""
    commit = commit_before_the_newest_migration()
    if commit is None:
        pytest.skip("a clone without the history has no version before")
    # Python 3.11.3 and older lack the safe extraction of tar files.
    code = git("archive", "--format=zip", commit, "api_schemas", "service", "workers", "migrations")
    with zipfile.ZipFile(BytesIO(code)) as archive:
        archive.extractall(tmp_path / "before")
    study_id = stored_study(trials=1)
    before = str(tmp_path / "before")
    # Settings have had other names; an operator gives each version its own.
    environment = {"PARETUNE_ARTIFACTS_DIR": str(tmp_path), **os.environ, "PYTHONPATH": before}
    subprocess.run(
        [sys.executable, "-c", OLD_WORKER, before],
        cwd=before, env=environment, check=True, timeout=120,
    )  # fmt: skip
    with Session(database.engine()) as session:
        check_study(session, study_id)
        study = session.get_one(Study, study_id)
        assert (study.state, study.front_sequence) == (StudyState.SUCCEEDED, 1)
