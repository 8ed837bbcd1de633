"""Where the migrations are, which one this version needs, and how to get there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

import migrations

LOCK_TIMEOUT_SECONDS = 3.0
"""How long a migration waits for a table. Other uses of that table queue behind it for as long."""

LOCK_NOT_AVAILABLE = "55P03"

SET_ASIDE = "before_restore"
"""Schema under which a restore keeps the old tables until the new ones are there."""

CUT_OFF = """
    SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'before_restore')
    AND NOT EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public')
"""
"""Whether a restore set the old tables aside and did not come to an end.

All tables of a backup appear in one transaction, so there are some in `public` if and only if it did.
"""


class SchemaInUse(Exception):
    """A migration met a transaction that does not end; nothing has changed."""


class RestoreCutOff(Exception):
    """A restore has set all tables aside and put none in their place; nothing has changed."""


class SchemaNewer(Exception):
    """A newer version has migrated the database; nothing has changed."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Point Alembic at our migrations, and at an open connection if given."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def expected_revision() -> str | None:
    """Return the newest migration that this version ships."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def is_known(revision: str) -> bool:
    """Return whether a migration is among those that this version ships."""
    revisions = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return any(script.revision == revision for script in revisions)


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version, whole or not at all. Two processes doing so at once take turns.

    Raises:
        RestoreCutOff: If a new schema would take the place of tables that a restore has set aside.
        SchemaInUse: If a table is in use for longer than `LOCK_TIMEOUT_SECONDS`.
        SchemaNewer: If the schema is one that this version does not know.
    """
    try:
        with engine.begin() as connection:
            if connection.scalar(text(CUT_OFF)):
                raise RestoreCutOff(
                    f"A restore of this database is under way or was cut off: its tables are in the schema "
                    f"{SET_ASIDE}. Let it end, or run `paretune restore FILE` again: that brings them back "
                    "before it asks anything."
                )
            revision = MigrationContext.configure(connection).get_current_revision()
            if revision is not None and not is_known(revision):
                raise SchemaNewer(
                    f"The database has schema {revision}, of a newer version of Paretune than this one. "
                    "Go on with that version or a later one, or restore a backup from before."
                )
            command.upgrade(alembic_config(connection), "head")
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise SchemaInUse(
            f"A table was in use for {LOCK_TIMEOUT_SECONDS:g} s, so the schema was left as it is. Run "
            "`paretune migrate` again; if it happens again, look for the oldest `xact_start` in "
            "pg_stat_activity, a backup, say, and let it end."
        ) from error
