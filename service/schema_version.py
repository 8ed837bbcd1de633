"""Where the migrations are, which one this version needs, and how to get there."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

import migrations


def alembic_config(connection: Connection | None = None) -> Config:
    """Point Alembic at our migrations, and at an open connection if given."""
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def expected_revision() -> str | None:
    """Give the newest migration that this version ships."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def is_known(revision: str) -> bool:
    """Say whether a migration is among those that this version ships."""
    revisions = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return any(script.revision == revision for script in revisions)


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version. Two processes doing so at once take turns."""
    with engine.begin() as connection:
        command.upgrade(alembic_config(connection), "head")
