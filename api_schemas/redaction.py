"""What no log may show: keys, passwords, signed addresses, where databases are. Knows text only.

Patterns find what looks like a secret. Secrets that are known, of a process's own environment, are found by
their value, whatever stands around them.
"""

import re
from collections.abc import Collection, Mapping

REDACTED = "[redacted]"
SHORTEST_SECRET = 8
"""A known value that is shorter would be found in ordinary words."""

SECRET_NAME = re.compile(r"PASSW|SECRET|TOKEN|API_?KEY|ACCESS_?KEY|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE)
PASSWORD_OF_ADDRESS = re.compile(r"://[^/\s:@]*:([^/\s@]+)@")

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
    (re.compile(r"(://)[^\s/@'\"]+@"), rf"\1{REDACTED}@"),
    (re.compile(r"(\bhttps?://[^\s?'\"<>]+\?)[^\s'\"<>]+", re.IGNORECASE), rf"\1{REDACTED}"),
    # How keys begin: Paretune's, its webhooks', and those of well-known services.
    (
        re.compile(
            r"\b(?:ptk_|whsec_|hf_|sk-|gh[opsu]_|github_pat_|glpat-|xox[a-z]-|AKIA|ASIA)[A-Za-z0-9_-]{8,}"
        ),
        REDACTED,
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"), REDACTED),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {REDACTED}"),
    # Values with a telling name. A number is a count, of tokens for example.
    (
        re.compile(
            r"(passw(?:or)?d|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?)"
            r"([\"']?\s?[=:]\s?[\"']?)(?![\d.]+(?:[\s,;)\]}]|$))[^\s\"',;&]{4,}",
            re.IGNORECASE,
        ),
        rf"\1\2{REDACTED}",
    ),
)


def secrets_of(environment: Mapping[str, str]) -> frozenset[str]:
    """Return what is secret among variables: values with a telling name, passwords in addresses."""
    found: set[str] = set()
    for name, value in environment.items():
        if SECRET_NAME.search(name):
            found |= {value, *value.split()}
        found |= {*PASSWORD_OF_ADDRESS.findall(value)}
    return frozenset(secret for secret in found if len(secret) >= SHORTEST_SECRET)


def redacted(text: str, *, secrets: Collection[str] = ()) -> str:
    """Return a text without the known secrets, and without what looks like one."""
    for secret in secrets:
        text = text.replace(secret, REDACTED)
    for pattern, replacement in PATTERNS:
        text = pattern.sub(replacement, text)
    return text
