"""What no log may show: keys, passwords, signed addresses, where databases are. Knows text only.

Patterns find what looks like a secret. Secrets that are known, of a process's own environment, are found by
their value, whatever stands around them.
"""

import re
from collections.abc import Collection, Mapping
from urllib.parse import unquote

REDACTED = "[redacted]"
SHORTEST_SECRET = 8
"""A known value that is shorter would be found in ordinary words."""

SECRET_NAME = re.compile(
    r"PASSW|PASSPHRASE|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|CREDENTIAL|PRIVATE_?KEY|AUTHORIZATION|OTLP_HEADERS",
    re.IGNORECASE,
)
PASSWORD_OF_ADDRESS = re.compile(r"://[^/\s:@]*:([^/\s]+)@")

TELLING_NAME = (
    r"(?:passw(?:or)?d|passphrase|secret|credentials?"
    r"|(?:api|access|private|secret|signing|encryption|account)[_-]?key)"
)
SEPARATOR = r"\\*[\"']?\s{0,3}[=:]\s{0,3}"
"""Between a name and its value, in JSON inside JSON, too."""
VALUE = (
    r"(?:\\+[\"'][^\"']*"  # quoted, inside quotes
    r"|\"(?:[^\"\\]|\\.)*\"?|'(?:[^'\\]|\\.)*'?"
    r"|[^\s\"'&]+)"
)
NO_COUNT = r"(?![\"']?[\d.]+(?:[\s\"',;)\]}]|$))"
"""A number after `token` says how many."""

PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    # Where a database or a broker is, and as whom to go there.
    (
        re.compile(
            r"\b((?:postgres(?:ql)?|mysql|mariadb|mongodb|rediss?|valkeys?|amqps?)(?:\+\w+)?)://[^\s'\"]+",
            re.IGNORECASE,
        ),
        rf"\1://{REDACTED}",
    ),
    (re.compile(r"(connection to server at )\S+(?: \([^)\s]*\))?, port \d+"), rf"\1{REDACTED}"),
    (re.compile(r"(connection to server on socket )\"[^\"]*\""), rf"\1{REDACTED}"),
    (re.compile(r"((?:host name|resolve host) )(?:\"[^\"]*\"|'[^']*')"), rf"\1{REDACTED}"),
    (re.compile(r"(\bconnecting to )\S+:\d+"), rf"\1{REDACTED}"),
    # A name and a password before a host; the query of an address, which may be its signature.
    (re.compile(r"(://)[^\s/'\"]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"(\bhttps?://[^\s?'\"<>]+\?)[^\s'\"<>]+", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(r"([?&](?:x-amz-signature|sig(?:nature)?)=)[^\s&'\"]+", re.IGNORECASE), rf"\1{REDACTED}"),
    # How keys begin: Paretune's, its webhooks', and those of well-known services. Their case is fixed.
    (
        re.compile(
            r"(?<![A-Za-z0-9])(?:(?:ptk_|whsec_|hf_|sk-|[sr]k_(?:live|test)_|gh[oprsu]_|github_pat_|glpat-|npm_"
            r"|xox[a-z]-|AIza)[A-Za-z0-9_-]{8,}|(?:AKIA|ASIA)[A-Z0-9]{12,})"
        ),
        REDACTED,
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    # What a header or a name says is secret.
    (
        re.compile(
            rf"(authorization{SEPARATOR})(?:[\"']?(?:bearer|basic|token|digest|negotiate)\s+[^\s\"']+|{VALUE})",
            re.IGNORECASE,
        ),
        rf"\1{REDACTED}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    (re.compile(rf"({TELLING_NAME}{SEPARATOR}){VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    (re.compile(rf"(token{SEPARATOR}){NO_COUNT}(?=.{{4}}){VALUE}", re.IGNORECASE), rf"\1{REDACTED}"),
    (
        re.compile(rf"(--[\w-]{{0,40}}(?:{TELLING_NAME}|token)\s+){NO_COUNT}{VALUE}", re.IGNORECASE),
        rf"\1{REDACTED}",
    ),
)


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """Return what is secret among variables: values with a telling name, passwords in addresses."""
    found: set[str] = set()
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            found |= {value, *re.split(r"[\s,=]+", value)}
        for password in PASSWORD_OF_ADDRESS.findall(value):
            found |= {password, unquote(password)}
    return frozenset(secret for secret in found if len(secret) >= SHORTEST_SECRET)


def redacted(text: str, *, secrets: Collection[str] = ()) -> str:
    """Return a text without the known secrets, and without what looks like one."""
    # The longest first: a shorter one that is a part of it would leave the rest to be read.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, REDACTED)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text
