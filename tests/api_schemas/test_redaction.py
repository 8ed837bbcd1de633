"""What a log never shows, whatever stands around it."""

import time

import pytest

from api_schemas.redaction import REDACTED, redacted, secrets_of

SECRET = "c0rrecth0rse"
SECRET_LINES = {
    "a database": f"cannot reach postgresql+psycopg://paretune:{SECRET}@db.internal:5432/paretune?sslmode=on",
    "a broker": f'redis.url = "rediss://:{SECRET}@cache:6379/0"',
    "a server of psycopg": f'connection to server at "{SECRET}" (10.0.0.9), port 5432 failed: timeout',
    "a socket of psycopg": f'connection to server on socket "/run/{SECRET}/.s.PGSQL.5432" failed: no',
    "a host of psycopg": f"failed to resolve host '{SECRET}': Name or service not known",
    "a broker that is away": f"Error 111 connecting to {SECRET}:6379. Connection refused.",
    "a signed address": f"GET https://s3.example.org/b/w.bin?X-Amz-Signature={SECRET}&X-Amz-Expires=60 403",
    "a login in an address": f"cloning https://me:{SECRET}@git.example.org/x.git",
    "a token of a hub": f"using hf_{SECRET}",
    "a key of ours": f"key ptk_{SECRET} was refused",
    "a header": f"Authorization: Bearer {SECRET}",
    "a variable": f"export WANDB_API_KEY={SECRET}",
    "a field of JSON": f'{{"password": "{SECRET}", "user": "me"}}',
    "a keyword": f"connect(secret='{SECRET}')",
    "a web token": f"cookie eyJ{SECRET}.{SECRET}.{SECRET}",
}


@pytest.mark.parametrize("name", SECRET_LINES)
def test_a_secret_is_not_shown(name: str) -> None:
    """Nor is where a database is."""
    shown = redacted(SECRET_LINES[name])
    assert SECRET not in shown
    assert "db.internal" not in shown
    assert REDACTED in shown


@pytest.mark.parametrize(
    "line",
    [
        "step 3 of 10: micro_batch_tokens=4096, loss 0.5, pad_token: 0",
        "dropped 12 tokens: too long",
        "reading https://example.org/data.csv to /tmp/x",
        'File "/srv/train.py", line 7, in step',
    ],
)
def test_what_is_no_secret_stays(line: str) -> None:
    """Counts of tokens, addresses without a query, paths."""
    assert redacted(line) == line


def test_a_known_secret_is_found_by_its_value() -> None:
    """Whatever its form: of a variable with a telling name, or a password inside an address."""
    secrets = secrets_of(
        {
            "MY_TOKEN": "plain words",
            "HOME": "/root/place",
            "DATABASE_URL": "postgresql://u:p4ssw0rdlong@h/db",
            "PIN_SECRET": "1",
        }
    )
    assert secrets == {"plain words", "p4ssw0rdlong"}
    assert redacted("it says plain words to p4ssw0rdlong in /root/place, 1", secrets=secrets) == (
        f"it says {REDACTED} to {REDACTED} in /root/place, 1"
    )


@pytest.mark.parametrize(
    "piece", ["http://", "a://b@", "token", "https://x?", "eyJ", "password=", "redis://"]
)
def test_no_line_takes_long(piece: str) -> None:
    """Text of others decides what the patterns meet; a backtracking one would take minutes."""
    began = time.monotonic()
    redacted(piece * (4000 // len(piece)))
    assert time.monotonic() - began < 5
