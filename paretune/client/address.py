"""What a client must be given: an address and a key. Each way to get one wrong has a sentence of its own."""

import re

import httpx

from paretune.errors import AddressMalformed, KeyMalformed

EXAMPLE = "http://127.0.0.1:8080"
LAST_PORT = 65535
HOST = r"[A-Za-z0-9._-]+|[0-9A-Fa-f.:]+(%[A-Za-z0-9._-]+)?"
"""A name or a number; a number of IPv6 may name an interface."""


def checked_address(address: str) -> str:
    """Return the address of a server, without a slash at its end.

    Raises:
        AddressMalformed: If it cannot be one. No password that may stand in it is repeated.
    """
    if not isinstance(address, str) or not address.strip():
        raise AddressMalformed(f"The address of the server is empty. Write it as {EXAMPLE}.")
    if address != address.strip():
        raise AddressMalformed(
            "The address of the server begins or ends with a space or a line break. Take those away."
        )
    if any(character.isspace() or not character.isprintable() for character in address):
        raise AddressMalformed(
            f"The address of the server holds a space or a control character: {_shown(address)!a}."
        )
    scheme, separator, rest = address.partition("://")
    if not separator:
        bare = re.sub(r"^(https?:/*|https?/+|/+)", "", _shown(address))
        raise AddressMalformed(
            f"The address '{_shown(address)}' says no scheme. Write http://{bare} or https://..."
        )
    if scheme.lower() not in ("http", "https"):
        raise AddressMalformed(
            f"The address '{scheme}://{_shown(rest)}' is not one of HTTP. Write http:// or https://."
        )
    return _parsed(address, rest)


def checked_key(key: str) -> str:
    """Return an API key that a header can carry.

    Raises:
        KeyMalformed: If it is none. The message does not repeat it.
    """
    if not isinstance(key, str) or not key.strip():
        raise KeyMalformed("The API key is empty. `paretune up` shows one; an admin makes others.")
    if key != key.strip():
        raise KeyMalformed(
            "The API key begins or ends with a space or a line break. Take those away: `key.strip()` in "
            "Python, `$(cat FILE)` in a shell."
        )
    odd = next((character for character in key if not "!" <= character <= "~"), None)
    if odd is not None:
        raise KeyMalformed(
            f"The API key holds the character U+{ord(odd):04X}, which no key has. Copy it once more."
        )
    return key


def _parsed(address: str, rest: str) -> str:
    try:
        url = httpx.URL(address)
        # What a resolver would refuse later, and not as an error of the network.
        host = url.host.encode("idna").decode()
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AddressMalformed(
            f"'{_shown(rest)}' is no host and port: {error}. Write them as in {EXAMPLE}."
        ) from error
    if not url.host:
        raise AddressMalformed(f"The address of the server names no host. Write it as {EXAMPLE}.")
    if not re.fullmatch(HOST, host):
        raise AddressMalformed(f"'{_shown(host)}' is no name of a host. Write the address as in {EXAMPLE}.")
    if url.port is not None and not 0 < url.port <= LAST_PORT:
        raise AddressMalformed(f"There is no port {url.port}; the last one is {LAST_PORT}.")
    if url.query or "?" in address or "#" in address:
        raise AddressMalformed(
            "Leave out of the address everything from the first '?' or '#' on; a key is given by itself."
        )
    return address.rstrip("/")


def _shown(address: str) -> str:
    """Return the address without the user and the password that may stand before an @."""
    return address.rpartition("@")[2].partition("#")[0].partition("?")[0]
