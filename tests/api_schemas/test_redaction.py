"""What a log never shows, whatever stands around it."""

import re
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
    "an Authorization of any scheme": f"authorization: token {SECRET}",
    "a scheme in capitals": f"AUTHORIZATION: BEARER {SECRET}",
    "a field of JSON in JSON": f'{{"body": "{{\\"password\\": \\"{SECRET}\\"}}"}}',
    "several words in quotes": f'"Password": "correct horse, {SECRET}; battery"',
    "a quote in quotes": f'{{"secret": "a\\"{SECRET}"}}',
    "signs in a value": f"PASSWORD=a,b;{SECRET}",
    "a signing key": f"DJANGO_SECRET_KEY={SECRET}",
    "an argument": f"train.py --db-password {SECRET} --epochs 3",
    "a secret key of AWS": f"aws_secret_access_key = {SECRET}",
    "a broker in capitals": f"REDIS://:{SECRET}@cache:6379/0",
    "a login in any address": f"ftp://me:{SECRET}@files.example.org/x",
    "a password with signs in an address": f"git+ssh://me:a@{SECRET}@git.example.org/x.git",
    "a key behind a name": f"key_hf_{SECRET}",
    "a signature without an address": f"GET /b/w.bin?X-Amz-Signature={SECRET}",
}


@pytest.mark.parametrize("name", SECRET_LINES)
def test_a_secret_is_not_shown(name: str) -> None:
    """Nor is where a database is."""
    shown = redacted(SECRET_LINES[name])
    assert SECRET not in shown
    assert "db.internal" not in shown
    assert REDACTED in shown


def test_the_key_of_a_header_may_be_short() -> None:
    """What follows the header's name is its key, whatever it looks like."""
    for header in ("Authorization: Bearer abc", "proxy-authorization=Basic abc", "'authorization': 'abc'"):
        assert "abc" not in redacted(header)


@pytest.mark.parametrize("said", ["password=12345678", "password: 7a", "passphrase='1 2 3 4'", "secret=0.25"])
def test_a_password_may_be_a_number_or_short(said: str) -> None:
    """Only tokens are counted."""
    assert re.sub(r"^\w+\W+", "", redacted(said)) == "redacted]"


@pytest.mark.parametrize(
    "line",
    [
        "step 3 of 10: micro_batch_tokens=4096, loss 0.5, pad_token: 0",
        "dropped 12 tokens: too long",
        "reading https://example.org/data.csv to /tmp/x",
        'File "/srv/train.py", line 7, in step',
        "bucket in asia-northeast1-a, task-sk-2, a bearer of news",
        "train.py --max-tokens 4096 --token-limit 12 --password-file /run/x",
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


def test_of_known_secrets_the_longest_goes_first() -> None:
    """One that is a part of another leaves nothing of it, in whatever order they are known."""
    secrets = ["openses", "opensesame-please", "same-please"]
    assert redacted("it is opensesame-please", secrets=secrets) == f"it is {REDACTED}"
    assert redacted("it is opensesame-please", secrets=secrets[::-1]) == f"it is {REDACTED}"


def test_a_password_of_an_address_is_known_as_it_is_meant_too() -> None:
    """Percent signs, signs of its own; and what an exporter of traces sends along."""
    secrets = secrets_of(
        {
            "DATABASE_URL": "postgresql://u:p%40ss%2Fw0rd@h/db",
            "BROKER_URL": "redis://:first@second@h:6379/0",
            "OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=opensesame",
        }
    )
    assert secrets == {"p%40ss%2Fw0rd", "p@ss/w0rd", "first@second"} | {
        "x-tenant=opensesame",
        "x-tenant",
        "opensesame",
    }


@pytest.mark.parametrize(
    "piece",
    [
        *("http://", "a://b@", "token", "https://x?", "eyJ", "password=", "redis://"),
        *("authorization: ", "secret\\", 'password="', "--token ", "://", "password=\\'"),
    ],
)
def test_no_line_takes_long(piece: str) -> None:
    """Text of others decides what the patterns meet; a backtracking one would take minutes."""
    began = time.monotonic()
    redacted(piece * (4000 // len(piece)))
    assert time.monotonic() - began < 5
