"""Where a webhook may go: public addresses, and networks that the operator allows.

A name is resolved once for each delivery, and the connection goes to an address that was checked. So a name
that changes between two look-ups (DNS rebinding) gains nothing.
"""

import socket
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import SplitResult, urlsplit

from service.errors import InvalidWebhook
from service.settings import settings

Address = IPv4Address | IPv6Address

TRANSLATED = IPv6Network("64:ff9b::/96")
"""IPv4 behind NAT64 (RFC 6052)."""
PUBLIC_IPV6 = IPv6Network("2000::/3")
REFUSED = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments, and the metadata of one cloud
    IPv4Network("192.88.99.0/24"),
    IPv4Network("168.63.129.16/32"),  # public by its number, but the host of a virtual machine at Azure
)
"""In addition to what Python's registry says is not global, which differs between its versions."""
PORTS = {"https": 443, "http": 80}


def check_url(url: str) -> SplitResult:
    """Take a URL apart.

    Raises:
        InvalidWebhook: If its form is not one that webhooks may have.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise InvalidWebhook(f"This is no URL: {error}.") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise InvalidWebhook("Give the whole URL of the receiver, like https://example.org/paretune.")
    if parts.scheme == "http" and not settings().webhook_http:
        raise InvalidWebhook("Use https. The operator may allow http with PARETUNE_WEBHOOK_HTTP.")
    if parts.username is not None or parts.password is not None or parts.fragment:
        raise InvalidWebhook(
            "A user, a password or a fragment is not sent. Verify the signature of messages instead."
        )
    return parts


def resolve(parts: SplitResult) -> list[Address]:
    """Return the addresses of a receiver, in the order to try them.

    Raises:
        InvalidWebhook: If there is none, or one of them may not be reached.
    """
    host = parts.hostname or ""
    try:
        resolved = socket.getaddrinfo(host, parts.port or PORTS[parts.scheme], type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise InvalidWebhook(f"The name '{host}' has no address.") from error
    # A scope ("%eth0") belongs to link-local addresses alone, which are refused with it or without.
    addresses = list(dict.fromkeys(ip_address(str(row[4][0]).partition("%")[0]) for row in resolved))
    for address in addresses:
        if not is_allowed(address, networks=settings().webhook_networks):
            raise InvalidWebhook(
                f"'{host}' is not a public address. "
                "The operator may allow its network with PARETUNE_WEBHOOK_NETWORKS."
            )
    return addresses


def is_allowed(address: Address, *, networks: tuple[IPv4Network | IPv6Network, ...]) -> bool:
    """Return whether an address is public or in an allowed network."""
    real = _unwrapped(address)
    if any(real in network for network in networks):
        return True
    if isinstance(real, IPv6Address) and real not in PUBLIC_IPV6:
        return False
    return real.is_global and not real.is_multicast and not any(real in network for network in REFUSED)


def _unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv6 address that only carries one."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped or address.sixtofour:
        return address.ipv4_mapped or address.sixtofour or address
    if address.teredo:
        return address.teredo[1]
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in TRANSLATED else address
