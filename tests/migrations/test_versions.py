"""The migrations make exactly the tables that the models describe, there and back."""

from alembic import command
from sqlalchemy import create_engine

from service.schema_version import alembic_config
from tests.conftest import renamed, run_on


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
