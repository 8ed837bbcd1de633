"""Run the migrations on the connection that `service.storage.schema_version` hands over."""

from alembic import context
from sqlalchemy import Connection, text

from service.storage import (
    models,  # noqa: F401  its tables
    schema_version,
    webhook_models,  # noqa: F401
)
from service.storage.base_table import Base

# Any constant that nobody else uses: two processes that migrate at once take turns.
MIGRATION_LOCK = 0x6D696772617465


def run_migrations() -> None:
    connection: Connection | None = context.config.attributes["connection"]
    if connection is None:
        raise RuntimeError("Run migrations through `paretune migrate`, which opens the connection.")
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
    # After that lock, for whoever takes turns may wait.
    limit = {"milliseconds": str(round(schema_version.LOCK_TIMEOUT_SECONDS * 1000))}
    connection.execute(text("SELECT set_config('lock_timeout', :milliseconds, true)"), limit)
    context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True)
    with context.begin_transaction():
        context.run_migrations()


run_migrations()
