"""`paretune webhooks` and `paretune audit`: over the API, with a key of scope admin."""

import json
from datetime import UTC
from itertools import islice
from typing import Annotated

import typer
from rich.table import Column, Table

from api_schemas.events import EventType
from paretune.client import Client
from paretune.command_groups import ADMINISTRATION
from paretune.command_options import Json, StateDir, StudyReference, Yes
from paretune.connection import server, server_that_runs
from paretune.console import console, insist, say, say_json, styled, working
from paretune.id_reference import find_id
from paretune.study_reference import find_study

WebhookReference = Annotated[
    str, typer.Argument(metavar="WEBHOOK", help="Its id, a unique beginning of that, or its address.")
]

app = typer.Typer()
webhooks = typer.Typer(no_args_is_help=True, help="Addresses that events are sent to. Needs an admin's key.")
app.add_typer(webhooks, name="webhooks", rich_help_panel=ADMINISTRATION)


@app.command(rich_help_panel=ADMINISTRATION)
def audit(
    limit: Annotated[int, typer.Option(min=1, help="How many, newest first.")] = 50,
    as_json: Json = False,
    state_dir: StateDir = None,
) -> None:
    """Show what was done to your tenant's keys, limits, studies and webhooks. Needs an admin's key."""
    with server_that_runs(state_dir) as client, working("Reading the log"):
        found = list(islice(client.audit_events(), limit))
    if as_json:
        say_json(found)
        return
    table = Table("number", "when (UTC)", "what", box=None, padding=(0, 2, 0, 0))
    for event in found:
        moment = event.recorded_at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
        details = f"  {json.dumps(event.body)}" if event.body else ""
        table.add_row(str(event.sequence), moment, event.type)
        table.add_row("", "", styled((event.subject, "dim")))
        table.add_row("", "", styled((f"by {event.key_id or 'the operator'}{details}", "dim")))
    console.print(table)


@webhooks.command("create")
def create_webhook(
    url: str,
    event: Annotated[list[EventType] | None, typer.Option(help="Only these types; may repeat.")] = None,
    state_dir: StateDir = None,
) -> None:
    """Send your events to an address, and show the secret that verifies them this once."""
    with server(state_dir, trial_workers=0) as (client, _):
        made = client.create_webhook(url, event_types=event or ())
    say(f"{made.id}: events go to {made.url}.")
    say(made.secret or "The answer with its secret was lost: delete this webhook and make another one.")


@webhooks.command("list")
def list_webhooks(as_json: Json = False, state_dir: StateDir = None) -> None:
    """Show your webhooks, with how many deliveries wait and what went wrong last."""
    with server_that_runs(state_dir) as client, working("Reading the webhooks"):
        found = list(client.webhooks())
    if as_json:
        say_json(found)
        return
    if not found:
        say("No webhook yet. Make one: paretune webhooks create URL")
        return
    table = Table(Column("webhook", min_width=36), "waiting", "given up", box=None, padding=(0, 2, 0, 0))
    for webhook in found:
        table.add_row(webhook.id, str(webhook.waiting), str(webhook.given_up))
        table.add_row(styled((webhook.url + (" (disabled)" if webhook.disabled_at else ""), "dim")))
        if webhook.last_error:
            table.add_row(styled((f"last error: {webhook.last_error}", "dim")))
    console.print(table)


@webhooks.command("delete")
def delete_webhook(reference: WebhookReference, yes: Yes = False, state_dir: StateDir = None) -> None:
    """Send nothing more there; what waits is dropped."""
    with server_that_runs(state_dir) as client:
        webhook_id = _find_webhook(client, reference)
        if not yes:
            insist(f"Delete {webhook_id}, and drop what waits for it?")
        client.delete_webhook(webhook_id)
    say(f"Deleted {webhook_id}.")


@webhooks.command("replay")
def replay_webhook(
    webhook: WebhookReference,
    reference: StudyReference,
    after: Annotated[int, typer.Option(min=0, help="Begin after the event of this number.")] = 0,
    state_dir: StateDir = None,
) -> None:
    """Send the events of a study again."""
    with server_that_runs(state_dir) as client:
        study_id = find_study(client, reference)
        replayed = client.replay_webhook(_find_webhook(client, webhook), study_id=study_id, after=after)
    say(f"{replayed.scheduled} deliveries wait.")


def _find_webhook(client: Client, reference: str) -> str:
    urls = {webhook.id: webhook.url for webhook in client.webhooks()}
    return find_id(reference, urls, kind="webhook", kinds="webhooks", listed_by="paretune webhooks list")
