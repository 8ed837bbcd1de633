"""The migrations make exactly the tables that the models describe, there and back."""

from collections.abc import Callable

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text

from service.storage.schema_version import alembic_config
from tests.conftest import renamed, run_on

OLD_ROWS = """
INSERT INTO tenants (id, name) VALUES ('t', 't');
INSERT INTO studies (id, tenant_id, display_name, state, configuration, search_space, objectives,
    constraints, starting_points, trial_budget, parallelism, seed, backbone_shape, classes,
    reference_defaults)
VALUES ('s', 't', 's', 'ACTIVE', '{}', '{}', '[]', '[]', '[]', 4, 1, 0, '{}', 2, '[]');
INSERT INTO trials (id, study_id, number, state, generated_by, proposal_seconds, parameters,
    configuration, configuration_key, attempt, lost_attempts, worker, lease_expires_at)
VALUES
    ('done', 's', 0, 'SUCCEEDED', 'x', 0, '{}', '{"training": {"seed": 7}}', 'a', 1, 0, 'v', NULL),
    ('running', 's', 1, 'RUNNING', 'x', 0, '{}', '{"training": {"seed": 7}}', 'b', 2, 1, 'w', now());
INSERT INTO pareto_fronts (study_id, sequence, trial_id, member_trial_ids) VALUES ('s', 1, 'done', '[]');
"""


def test_models_and_migrations_agree(database_url: str) -> None:
    """Alembic finds nothing left to migrate."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        command.check(alembic_config(connection))
    engine.dispose()


def test_up_down_and_up_again(postgres_url: str) -> None:
    """Every migration can be taken back."""
    run_on(postgres_url, "CREATE DATABASE up_and_down")
    engine = create_engine(renamed(postgres_url, "up_and_down"))
    for verb, revision in ((command.upgrade, "head"), (command.downgrade, "base"), (command.upgrade, "head")):
        with engine.begin() as connection:
            verb(alembic_config(connection), revision)
    engine.dispose()
    run_on(postgres_url, "DROP DATABASE up_and_down WITH (FORCE)")


def test_trials_of_version_1_become_replicates_and_back(postgres_url: str) -> None:
    """A running trial keeps its lease and attempt; going back keeps what the first seed was."""
    run_on(postgres_url, "CREATE DATABASE replicates_and_back")
    engine = create_engine(renamed(postgres_url, "replicates_and_back"))

    def migrate(verb: Callable[[Config, str], None], revision: str) -> None:
        with engine.begin() as connection:
            verb(alembic_config(connection), revision)

    migrate(command.upgrade, "0001")
    with engine.begin() as connection:
        connection.execute(text(OLD_ROWS))
    migrate(command.upgrade, "0002")
    with engine.begin() as connection:
        rows = connection.execute(
            text("SELECT trial_id, number, seed, state, attempt, worker FROM replicates ORDER BY trial_id")
        ).all()
        connection.execute(
            text("INSERT INTO pareto_fronts (study_id, sequence, trial_id, member_trial_ids) "
                 "VALUES ('s', 2, 'done', '[]')")
        )  # fmt: skip
    assert [tuple(row) for row in rows] == [
        ("done", 0, 7, "SUCCEEDED", 1, "v"),
        ("running", 0, 7, "RUNNING", 2, "w"),
    ]
    migrate(command.downgrade, "0001")
    with engine.begin() as connection:
        trials = connection.execute(
            text(
                "SELECT id, attempt, lost_attempts, worker, lease_expires_at IS NULL FROM trials ORDER BY id"
            )
        ).all()
        fronts = connection.execute(text("SELECT sequence FROM pareto_fronts")).scalars().all()
    assert [tuple(row) for row in trials] == [("done", 1, 0, "v", True), ("running", 2, 1, "w", False)]
    assert fronts == [1]
    engine.dispose()
    run_on(postgres_url, "DROP DATABASE replicates_and_back WITH (FORCE)")


def test_keys_of_version_5_become_admin_keys_and_only_those_go_back(postgres_url: str) -> None:
    """They were the operator's; a narrower or ended key must not become a whole one by going back."""
    run_on(postgres_url, "CREATE DATABASE keys_and_back")
    engine = create_engine(renamed(postgres_url, "keys_and_back"))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0005")
        connection.execute(text("INSERT INTO tenants (id, name) VALUES ('t', 't')"))
        connection.execute(text("INSERT INTO api_keys (id, tenant_id, sha256) VALUES ('old', 't', 'a')"))
        command.upgrade(alembic_config(connection), "0006")
        assert connection.execute(text("SELECT scope FROM api_keys")).scalars().all() == ["admin"]
        connection.execute(
            text(
                "INSERT INTO api_keys (id, tenant_id, sha256, name, scope, revoked_at) VALUES "
                "('narrow', 't', 'b', 'n', 'read', NULL), ('ended', 't', 'c', 'n', 'admin', now())"
            )
        )
        command.downgrade(alembic_config(connection), "0005")
        assert connection.execute(text("SELECT id FROM api_keys")).scalars().all() == ["old"]
    engine.dispose()
    run_on(postgres_url, "DROP DATABASE keys_and_back WITH (FORCE)")


CUSTOM_ROWS = """
INSERT INTO tenants (id, name) VALUES ('t', 't');
INSERT INTO studies (id, tenant_id, display_name, state, kind, search_space, objectives, constraints,
    starting_points, trial_budget, trials_created, trials_imported, parallelism, seed, reference_defaults)
VALUES ('own', 't', 's', 'ACTIVE', 'custom', '{}', '[]', '[]', '[]', 4, 1, 0, 1, 0, '[]');
INSERT INTO studies (id, tenant_id, display_name, state, configuration, search_space, objectives,
    constraints, starting_points, trial_budget, trials_created, trials_imported, parallelism, seed,
    backbone_shape, classes, reference_defaults)
VALUES ('ours', 't', 's', 'ACTIVE', '{}', '{}', '[]', '[]', '[]', 4, 1, 2, 1, 0, '{}', 2, '[]');
INSERT INTO trials (id, study_id, number, state, generated_by, proposal_seconds, parameters,
    configuration_key)
VALUES ('x', 'own', 0, 'QUEUED', 'x', 0, '{}', 'a');
INSERT INTO replicates (trial_id, number, study_id, seed, state) VALUES ('x', 0, 'own', 0, 'QUEUED');
"""


def test_going_back_before_custom_studies_leaves_what_the_older_version_can_read(postgres_url: str) -> None:
    """Custom studies go with their trials; imported trials count against a budget that grew by them."""
    run_on(postgres_url, "CREATE DATABASE custom_and_back")
    engine = create_engine(renamed(postgres_url, "custom_and_back"))
    for verb, revision, rows in ((command.upgrade, "head", CUSTOM_ROWS), (command.downgrade, "0006", "")):
        with engine.begin() as connection:
            verb(alembic_config(connection), revision)
            if rows:
                connection.execute(text(rows))
    with engine.connect() as connection:
        found = connection.execute(text("SELECT id, trial_budget, trials_created FROM studies")).all()
    assert [tuple(row) for row in found] == [("ours", 6, 3)]
    engine.dispose()
    run_on(postgres_url, "DROP DATABASE custom_and_back WITH (FORCE)")


def test_a_study_of_a_proposer_that_is_gone_is_proposed_for_by_the_default(postgres_url: str) -> None:
    """What else its owner set stays; studies of proposers that are there keep theirs."""
    run_on(postgres_url, "CREATE DATABASE fewer_proposers")
    engine = create_engine(renamed(postgres_url, "fewer_proposers"))
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "0016")
        connection.execute(text(CUSTOM_ROWS))
        connection.execute(
            text("""UPDATE studies SET proposals = '{"proposer": "tpe", "ahead": 3}' WHERE id = 'own'""")
        )
        connection.execute(
            text("""UPDATE studies SET proposals = '{"proposer": "sobol"}' WHERE id = 'ours'""")
        )
        command.upgrade(alembic_config(connection), "0017")
        found = dict(connection.execute(text("SELECT id, proposals FROM studies")).all())
    assert found == {"own": {"proposer": "paretune", "ahead": 3}, "ours": {"proposer": "sobol"}}
    engine.dispose()
    run_on(postgres_url, "DROP DATABASE fewer_proposers WITH (FORCE)")


FOREIGN_KEYS = """
SELECT c.conrelid::regclass::text, c.conname, EXISTS (
    SELECT FROM pg_index AS i WHERE i.indrelid = c.conrelid AND i.indisvalid AND i.indpred IS NULL
    AND (i.indkey::smallint[])[0:cardinality(c.conkey) - 1] @> c.conkey)
FROM pg_constraint AS c WHERE c.contype = 'f' ORDER BY 1, 2
"""


def test_every_foreign_key_has_an_index(database_url: str) -> None:
    """Otherwise each row that is deleted of the one table costs a scan of the whole other."""
    engine = create_engine(database_url)
    with engine.begin() as connection:
        keys = connection.execute(text(FOREIGN_KEYS)).all()
    engine.dispose()
    assert len(keys) > 10
    assert [f"{table}: {name}" for table, name, is_indexed in keys if not is_indexed] == []
