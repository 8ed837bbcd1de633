"""The broker's address in its two spellings. Connects to nothing."""


def redis_url(broker_url: str) -> str:
    """Return the broker's address as its own client reads it; Celery spells that of a socket differently."""
    return broker_url.replace("redis+socket://", "unix://", 1).replace("?virtual_host=", "?db=", 1)
