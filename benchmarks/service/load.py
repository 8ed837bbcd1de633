"""Requests from outside of the server's process: many at once from `wrk`, or one after another from here."""

import http.client
import json
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import numpy as np

CONNECTIONS = 16
UNITS_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body."""
        return json.loads(self.body)


class Connection:
    """One kept-alive connection that sends one request after another."""

    def __init__(self, url: str, *, api_key: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
        self._key = {"Authorization": f"Bearer {api_key}"}

    def send(self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] = {}) -> Answer:
        """Send a request and read all of its answer."""
        sent = {**self._key, **headers}
        if body is not None:
            sent["Content-Type"] = "application/json"
        self._http.request(method, path, None if body is None else json.dumps(body), sent)
        answer = self._http.getresponse()
        return Answer(
            answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        )


def seconds_of(call: Callable[[], object], *, times: int, at_most_seconds: float) -> list[float]:
    """Time calls one after another, after three that do not count."""
    for _ in range(3):
        call()
    taken: list[float] = []
    while len(taken) < times and sum(taken) < at_most_seconds:
        began = time.perf_counter()
        call()
        taken.append(time.perf_counter() - began)
    return taken


def summary_ms(seconds: list[float]) -> dict[str, float]:
    """Return median and 99th percentile in milliseconds, and how many there were."""
    return {
        "p50_ms": round(1000 * statistics.median(seconds), 2),
        "p99_ms": round(1000 * float(np.quantile(seconds, 0.99)), 2),
        "number": float(len(seconds)),
    }


def wrk(url: str, headers: Mapping[str, str], *, seconds: float) -> dict[str, float]:
    """Load a URL from 16 connections; no answer may be an error."""
    program = shutil.which("wrk")
    assert program, "Install wrk: apt-get install wrk"
    given = [part for name, value in headers.items() for part in ("-H", f"{name}: {value}")]
    found = subprocess.run(
        [program, "-t1", f"-c{CONNECTIONS}", f"-d{seconds:.0f}s", "--latency", *given, url],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "Non-2xx or 3xx" not in found, found
    return {
        "p50_ms": _percentile(found, "50%"),
        "p99_ms": _percentile(found, "99%"),
        "per_second": float(re.findall(r"Requests/sec:\s+([0-9.]+)", found)[0]),
    }


def _percentile(found: str, share: str) -> float:
    number, unit = re.findall(rf"{share}\s+([0-9.]+)(us|ms|s)", found)[0]
    return round(float(number) * UNITS_MS[unit], 3)
