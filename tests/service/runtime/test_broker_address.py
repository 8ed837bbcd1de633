"""Both spellings of an address lead to the same broker."""

from redis import Redis

from service.runtime.broker_address import redis_url


def test_an_address_of_a_socket_is_spelled_as_its_own_client_reads_it() -> None:
    """With its password and its database; one of a port stays as it is."""
    url = redis_url("redis+socket://:secret@/a%20folder/socket-1?virtual_host=2")
    with Redis.from_url(url) as client:
        known = client.connection_pool.connection_kwargs
    assert (known["path"], known["password"], known["db"]) == ("/a folder/socket-1", "secret", 2)
    assert redis_url("redis://:secret@127.0.0.1:6379/0") == "redis://:secret@127.0.0.1:6379/0"
