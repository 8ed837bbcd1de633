"""`paretune keys` and `paretune tenants`: for the operator, on the server, with access to its database.

An admin elsewhere, with PARETUNE_URL and no database, steers the keys of the own tenant over the API.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import BaseModel
from rich.table import Column, Table

from api_schemas.access import KeyRead, KeyScope
from paretune.command_options import Json, Yes, unless_an_address_is_set
from paretune.connection import server, server_that_runs
from paretune.console import console, insist, say, say_json, styled, working
from paretune.errors import ParetuneError
from paretune.id_reference import find_id
from paretune.store_addresses import database_url

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

keys = typer.Typer(
    no_args_is_help=True, help="API keys. Needs the server's database, or PARETUNE_URL and an admin's key."
)
tenants = typer.Typer(no_args_is_help=True, help="Tenants and their limits. Needs the server's database.")

STATE_DIR_HELP = "Of a running `paretune up`, where DATABASE_URL is not set."
StateDir = Annotated[Path | None, typer.Option(envvar="PARETUNE_STATE_DIR", help=STATE_DIR_HELP)]
StateDirOrAddress = Annotated[
    Path | None,
    typer.Option(envvar="PARETUNE_STATE_DIR", callback=unless_an_address_is_set, help=STATE_DIR_HELP),
]
TenantName = Annotated[
    str | None,
    typer.Option(
        "--tenant", help="For the operator: 'default' if left out, and a new name makes a new tenant."
    ),
]
DEFAULT_TENANT = "default"
MOST_KEYS = 1000
"""Of a tenant, to be listed at once."""
Limit = Annotated[int | None, typer.Option(min=0)]


class TenantLimits(BaseModel):
    """A tenant's limits by name; null where the server's setting holds."""

    name: str
    limits: dict[str, int | None]


class DatabaseUnknown(ParetuneError):
    """No database was named, and no server runs on the state directory."""


class Refused(ParetuneError):
    """The service refused it."""


@keys.command("create")
def create_key(
    name: Annotated[str, typer.Option(help="What the key is for.")],
    tenant: TenantName = None,
    scope: Annotated[KeyScope, typer.Option(help="Each includes the ones before it.")] = KeyScope.WRITE,
    expires_in_days: Annotated[
        float | None, typer.Option(min=0, max=36_500, help="Never if left out.")
    ] = None,
    state_dir: StateDirOrAddress = None,
) -> None:
    """Make a key, and show its secret this once."""
    expires_at = None
    if expires_in_days is not None:
        expires_at = datetime.now(UTC) + timedelta(days=expires_in_days)
    if _is_remote(tenant, state_dir):
        with server(state_dir, trial_workers=0) as (client, _):
            made = client.create_key(name=name, scope=scope, expires_at=expires_at)
        _show_secret(made.id, scope, "your tenant", secret=made.secret)
        return
    from service.access.keys import create_key as create
    from service.access.tenants import add_tenant, find_tenant

    tenant = tenant or DEFAULT_TENANT
    with _database(state_dir) as session:
        owner = find_tenant(session, tenant)
        if owner is None:
            owner = add_tenant(session, tenant)
            say(f"Tenant '{tenant}' is new.")
        key, secret = create(session, tenant_id=owner.id, name=name, scope=scope, expires_at=expires_at)
    _show_secret(key.id, scope, tenant, secret=secret)


@keys.command("list")
def list_keys(
    tenant: Annotated[
        str | None, typer.Option(help="For the operator: whose keys; 'default' if left out.")
    ] = None,
    as_json: Json = False,
    state_dir: StateDirOrAddress = None,
) -> None:
    """Show a tenant's keys, newest first."""
    if _is_remote(tenant, state_dir):
        with server_that_runs(state_dir) as client:
            with working("Reading the keys"):
                found = list(client.api_keys())
            _show_keys(found, as_json=as_json)
        return
    from service.access.keys import list_keys as read
    from service.access.tenants import get_tenant

    with _database(state_dir) as session:
        owner = get_tenant(session, tenant or DEFAULT_TENANT)
        stored = read(session, tenant_id=owner.id, page_size=MOST_KEYS, before=None)
        _show_keys([KeyRead.model_validate(key) for key in stored], as_json=as_json)


@keys.command("revoke")
def revoke_key(
    reference: Annotated[
        str, typer.Argument(metavar="KEY", help="Its id, a unique beginning of that, or its name.")
    ],
    yes: Yes = False,
    state_dir: StateDirOrAddress = None,
) -> None:
    """End a key at once."""
    if _is_remote(None, state_dir):
        with server_that_runs(state_dir) as client:
            key = client.revoke_key(_agreed_key(list(client.api_keys()), reference, yes=yes))
    else:
        from service.access.keys import revoke_key as revoke

        # Nobody waits for a person with a transaction open.
        key_id = _agreed_key(_keys_of_all(state_dir), reference, yes=yes)
        with _database(state_dir) as session:
            key = KeyRead.model_validate(revoke(session, key_id, tenant_id=None))
    say(f"{key.id} ({key.name}) was revoked at {_minute(key.revoked_at)}Z.")


def _keys_of_all(state_dir: Path | None) -> list[KeyRead]:
    from service.access.keys import list_keys as read
    from service.access.tenants import list_tenants as owners

    with _database(state_dir) as session:
        return [
            KeyRead.model_validate(key)
            for owner in owners(session)
            for key in read(session, tenant_id=owner.id, page_size=MOST_KEYS, before=None)
        ]


def _agreed_key(found: Sequence[KeyRead], reference: str, *, yes: bool) -> str:
    """Return the id of the key that is meant, once the person has agreed. Ended keys are not named."""
    lasting = {key.id: f"{key.scope}  {key.name}" for key in found if key.revoked_at is None}
    names = {key.id: key.name for key in found if key.id in lasting}
    key_id = find_id(reference, names, kind="key", kinds="keys", listed_by="paretune keys list")
    if not yes:
        say(f"{key_id}  {lasting.get(key_id, '')}".rstrip())
        insist("End this key for good? Whatever uses it is refused from now on.")
    return key_id


@tenants.command("list")
def list_tenants(as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show the tenants and the limits that are their own."""
    from service.access.tenants import LIMITS
    from service.access.tenants import list_tenants as read

    with _database(state_dir) as session:
        found = [
            TenantLimits(name=tenant.name, limits={name: getattr(tenant, name) for name in LIMITS})
            for tenant in read(session)
        ]
    if as_json:
        say_json(found)
        return
    titles = (name.replace("_", " ") for name in LIMITS)
    table = Table("tenant", *titles, box=None, padding=(0, 2, 0, 0))
    for one in found:
        shown = ("setting" if limit is None else f"{limit:,}" for limit in one.limits.values())
        table.add_row(one.name, *shown)
    console.print(table)


@tenants.command("limit")
def limit_tenant(
    name: str,
    active_studies: Limit = None,
    running_trials: Limit = None,
    artifact_bytes: Limit = None,
    reset: Annotated[bool, typer.Option(help="Make those not named the settings' again.")] = False,
    state_dir: StateDir = None,
) -> None:
    """Give a tenant limits of its own; what is not named stays as it is."""
    from service.access.tenants import get_tenant, set_limits

    named = {
        "active_studies": active_studies,
        "running_trials": running_trials,
        "artifact_bytes": artifact_bytes,
    }
    with _database(state_dir) as session:
        set_limits(
            session,
            get_tenant(session, name),
            {limit: value for limit, value in named.items() if reset or value is not None},
        )
    say(f"Done. `paretune tenants list` shows the limits of {name}.")


def _is_remote(tenant: str | None, state_dir: Path | None) -> bool:
    if state_dir is not None or os.environ.get("DATABASE_URL") or not os.environ.get("PARETUNE_URL"):
        return False
    if tenant is not None:
        raise DatabaseUnknown(
            "At PARETUNE_URL keys are those of your own tenant: leave --tenant out. To reach another "
            "tenant, set DATABASE_URL to the server's."
        )
    return True


def _show_keys(keys_shown: Sequence[KeyRead], *, as_json: bool) -> None:
    if as_json:
        say_json(keys_shown)
        return
    table = Table(
        Column("key", min_width=36), "scope", "last used (UTC)", "ends (UTC)", box=None, padding=(0, 2, 0, 0)
    )
    for key in keys_shown:
        table.add_row(key.id, key.scope, _minute(key.last_used_at), _minute(key.revoked_at or key.expires_at))
        table.add_row(styled((key.name, "dim")), "", "", "revoked" if key.revoked_at else "")
    console.print(table)


def _show_secret(key_id: str, scope: KeyScope, tenant: str, *, secret: str | None) -> None:
    if secret is None:
        say(f"{key_id} was made, and the answer with its secret was lost: revoke it and make another.")
        return
    say(f"{key_id}: {scope} for {tenant}. Its secret, shown only now:")
    say(secret)


@contextmanager
def _database(state_dir: Path | None) -> Iterator["Session"]:
    """Open one transaction on the server's database."""
    from sqlalchemy import create_engine
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.orm import Session

    from service.errors import ServiceError

    engine = create_engine(database_url() or _url_of_running_server(state_dir))
    try:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session
    except ServiceError as error:
        raise Refused(error.detail) from error
    except OperationalError as error:
        raise DatabaseUnknown(f"The database does not answer: {error.orig}") from error
    finally:
        engine.dispose()


def _url_of_running_server(state_dir: Path | None) -> str:
    from paretune.local import DATABASE_URL_FILE
    from paretune.state_directory import default_state_dir

    directory = state_dir or default_state_dir()
    try:
        return (directory / DATABASE_URL_FILE).read_text(encoding="ascii")
    except OSError as error:
        raise DatabaseUnknown(
            f"No server runs on {directory}. Start `paretune up`, or set DATABASE_URL to the server's."
        ) from error


def _minute(moment: datetime | None) -> str:
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
