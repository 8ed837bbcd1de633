"""What a client must be given: an address and a key. Each way to get one wrong has a sentence of its own."""

import httpx

from paretune.errors import AddressMalformed, KeyMalformed

EXAMPLE = "http://127.0.0.1:8080"


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
        raise AddressMalformed(
            f"The address '{_shown(address)}' says no scheme. Write http://{_shown(address)} or https://..."
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
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise AddressMalformed(
            f"'{_shown(rest)}' is no host and port: {error}. Write them as in {EXAMPLE}."
        ) from error
    if not url.host:
        raise AddressMalformed(f"The address of the server names no host. Write it as {EXAMPLE}.")
    if url.query or "?" in address or "#" in address:
        raise AddressMalformed(
            "Leave out of the address everything from the first '?' or '#' on; a key is given by itself."
        )
    return address.rstrip("/")


def _shown(address: str) -> str:
    """Return the address without the user and the password that may stand before an @."""
    return address.rpartition("@")[2].partition("#")[0].partition("?")[0]
