"""Where webhooks may go, before anything is sent."""

from ipaddress import ip_address, ip_network

import pytest

from service import settings
from service.errors import InvalidWebhook
from service.webhooks.addresses import check_url, is_allowed, resolve


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1",  # noqa: S104
        "169.254.169.254", "100.100.100.200", "168.63.129.16", "192.0.0.192", "192.88.99.1",
        "224.0.0.1", "255.255.255.255", "::", "::1", "fe80::1", "fd00:ec2::254", "fec0::1", "ff02::1",
        "::7f00:1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
        "2002:7f00:1::", "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_what_is_not_public_is_refused(address: str) -> None:
    """Private, loopback, link-local, metadata, multicast, and IPv6 spellings of them."""
    assert not is_allowed(ip_address(address), networks=())


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_what_is_public_is_allowed(address: str) -> None:
    """In every spelling."""
    assert is_allowed(ip_address(address), networks=())


def test_an_allowed_network_lets_in_no_other() -> None:
    """Its addresses in every spelling, and nothing beside it."""
    networks = (ip_network("10.1.0.0/16"),)
    assert is_allowed(ip_address("10.1.2.3"), networks=networks)
    assert is_allowed(ip_address("::ffff:10.1.2.3"), networks=networks)
    assert not is_allowed(ip_address("10.2.0.1"), networks=networks)


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        ("http://example.org/", "Use https"),
        ("ftp://example.org/", "whole URL"),
        ("example.org", "whole URL"),
        ("https:///path", "whole URL"),
        ("https://example.org:0/", "whole URL"),
        ("https://example.org:x/", "no URL"),
        ("https://[::1/", "no URL"),
        ("https://user:word@example.org/", "Verify the signature"),
        ("https://example.org/#here", "fragment"),
    ],
)
def test_a_url_of_another_form_is_refused(url: str, cure: str) -> None:
    """The detail says what to do."""
    settings.settings.cache_clear()
    with pytest.raises(InvalidWebhook, match=cure) as refused:
        check_url(url)
    assert refused.value.errors[0].pointer == "/url"


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1", "2130706433", "0x7f.1", "0177.0.0.1", "[::1]", "[fe80::1]", "127.1"]
)
def test_spellings_of_this_host_are_refused(host: str) -> None:
    """What the resolver makes of a name is looked at, not the name."""
    with pytest.raises(InvalidWebhook, match="not a public address"):
        resolve(check_url(f"https://{host}/"))


@pytest.mark.parametrize("host", ["nowhere.invalid", f"{'a' * 64}.org", "a..b"])
def test_a_name_without_an_address_is_refused(host: str) -> None:
    """No crash on names that cannot be."""
    with pytest.raises(InvalidWebhook, match="has no address"):
        resolve(check_url(f"https://{host}/"))
