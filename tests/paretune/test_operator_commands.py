"""Keys, tenants and limits from the server's command line."""

import io
import re
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session
from typer.testing import CliRunner, Result

from paretune import admin_commands, operator_commands
from paretune.cli import app
from paretune.client import Client
from paretune.console import PlainConsole
from paretune.errors import ParetuneError
from service.api.app import create_app
from service.storage.models import AuditEvent
from tests.conftest import API_KEY


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


def test_without_a_database_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No DATABASE_URL and no running server."""
    monkeypatch.delenv("DATABASE_URL")
    result = run("keys", "list", "--state-dir", str(tmp_path))
    assert isinstance(result.exception, ParetuneError)
    assert "Start `paretune up`, or set DATABASE_URL" in str(result.exception)


@pytest.mark.parametrize(
    "arguments",
    [("keys", "list", "--tenant", "who"), ("tenants", "limit", "who"), ("keys", "revoke", "key_1", "--yes")],
)
def test_what_is_not_there_is_named(service_environment: None, arguments: tuple[str, ...]) -> None:
    """A sentence, not a traceback."""
    result = run(*arguments)
    assert isinstance(result.exception, ParetuneError)
    assert "There is no" in str(result.exception)


def test_a_key_of_a_new_tenant_lives_until_it_is_revoked(service_environment: None, session: Session) -> None:
    """Made, shown once, used, listed, revoked; the audit log names no key, for it was the operator."""
    made = run(
        "keys", "create", "--tenant", "lab", "--scope", "read", "--name", "ci", "--expires-in-days", "1"
    )
    assert "Tenant 'lab' is new." in made.output
    key_id, secret = (re.search(pattern, made.output) for pattern in (r"key_\w+", r"ptk_\S+"))
    assert key_id
    assert secret
    client = TestClient(create_app(), headers={"Authorization": f"Bearer {secret[0]}"})
    assert client.get("/v1/studies").status_code == 200
    listed = run("keys", "list", "--tenant", "lab").output
    assert key_id[0] in listed
    assert secret[0] not in listed
    assert "was revoked at" in run("keys", "revoke", key_id[0][:-4], "--yes").output
    assert client.get("/v1/studies").status_code == 401
    events = session.scalars(select(AuditEvent).where(AuditEvent.subject == key_id[0]))
    assert [(event.type, event.key_id) for event in events] == [("key.created", None), ("key.revoked", None)]


def test_keys_webhooks_and_what_was_done_fit_a_screen(
    server_url: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 80 columns: no id is broken, so each can be copied."""
    file = io.StringIO()
    for module in (operator_commands, admin_commands):
        monkeypatch.setattr(module, "console", PlainConsole(file=file, width=80))
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    monkeypatch.delenv("DATABASE_URL")
    key = client.create_key(name="a name that is longer than any id: continuous integration")
    webhook = client.create_webhook(f"https://1.1.1.1/{'a-rather-long-path/' * 6}")
    for command in (("keys", "list"), ("webhooks", "list"), ("audit",)):
        assert run(*command).exit_code == 0
    shown = file.getvalue()
    assert max(map(len, shown.splitlines())) <= 80
    assert shown.count(key.id) == 2
    assert shown.count(webhook.id) == 2
    for title in ("last used (UTC)", "ends (UTC)", "waiting", "given up"):
        assert title in shown


def test_limits_are_set_shown_and_taken_back(service_environment: None, session: Session) -> None:
    """What is not named stays; every change is an audit event."""
    run("tenants", "limit", "other", "--active-studies", "3", "--artifact-bytes", "5000000000")
    run("tenants", "limit", "other", "--active-studies", "4")
    row = next(line for line in run("tenants", "list").output.splitlines() if "other" in line)
    assert re.findall(r"[\d,]+|setting", row) == ["4", "setting", "5,000,000,000"]
    run("tenants", "limit", "other", "--running-trials", "2", "--reset")
    row = next(line for line in run("tenants", "list").output.splitlines() if "other" in line)
    assert re.findall(r"[\d,]+|setting", row) == ["setting", "2", "setting"]
    events = session.scalars(select(AuditEvent).where(AuditEvent.type == "limits.changed"))
    assert [event.body for event in events] == [
        {"active_studies": 3, "artifact_bytes": 5_000_000_000},
        {"active_studies": 4},
        {"active_studies": None, "running_trials": 2, "artifact_bytes": None},
    ]
