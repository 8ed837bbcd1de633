"""A token bucket for each key, in the memory of one API process.

A key has `burst` tokens; each request takes one, and `rate` come back every second (Turner, "New
directions in communications", 1986, as a meter). Postgres stays out of it: a write for every request
would cost more than most requests. So with N API processes a key may make up to N times as many.
"""

import threading
import time
from dataclasses import dataclass

from service.settings import settings


@dataclass
class Bucket:
    """Tokens left at a moment of the monotonic clock."""

    tokens: float
    at: float


class RateLimit:
    """The buckets of this process. Only keys that are known get here, so there are no more than keys."""

    def __init__(self, *, rate: float, burst: int) -> None:
        """Take `rate` in requests per second."""
        self.rate = rate
        self.burst = burst
        self._buckets: dict[str, Bucket] = {}
        self._lock = threading.Lock()

    def seconds_to_wait(self, key_id: str, *, now: float | None = None) -> float:
        """Take a token; 0 if there was one, else the seconds until there is."""
        now = time.monotonic() if now is None else now
        with self._lock:
            bucket = self._buckets.setdefault(key_id, Bucket(tokens=self.burst, at=now))
            bucket.tokens = min(self.burst, bucket.tokens + (now - bucket.at) * self.rate)
            bucket.at = now
            if bucket.tokens >= 1:
                bucket.tokens -= 1
                return 0.0
            return (1 - bucket.tokens) / self.rate


def configured_rate_limit() -> RateLimit | None:
    """Return fresh buckets for this process, if the settings limit requests."""
    rate = settings().requests_per_second
    return None if rate is None else RateLimit(rate=rate, burst=settings().request_burst)
