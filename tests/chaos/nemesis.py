"""The nemesis: faults drawn by a seed, and what each does to a running server.

Every fault is a line of JSON in its log, so that a run can be repeated and read. It breaks things only
from the thread that it is called in, which must be the one that supervises the stack.
"""

import json
import math
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import psutil
from celery import Celery
from kombu.exceptions import OperationalError as BrokerAway
from redis import Redis
from redis.exceptions import RedisError

from paretune.child_process import Child
from paretune.local import Stack
from service.runtime.broker_address import redis_url
from tests.chaos.load import Crowds
from tests.chaos.postgres_proxy import Cut, PostgresProxy

LEASE_SECONDS = 3.0
STOP_SECONDS = 2 * LEASE_SECONDS
SKEWS_SECONDS = (-600, 600, 0)
HINTS = 20
POISON_SECONDS = 180.0
"""Longer than a study takes that kills its worker until it is paused for it, on a busy machine."""
CUTS = 3
SPARE_BYTES = 20_000
"""What a process may still write on a full disk: a few lines of its log, and no adapter."""


class FaultKind(StrEnum):
    """What may go wrong."""

    KILL = "kill"
    KILL_CHILD = "kill child"
    STOP = "stop past the lease"
    STOP_CHILD = "stop child past the lease"
    RESTART = "restart"
    WIPE = "kill and wipe"
    CUT_BEFORE = "cut before COMMIT"
    CUT_AFTER = "cut after COMMIT"
    DOUBLE = "double and delay messages"
    SKEW = "clock skew"
    FILL_DISK = "disk full"
    REFUSE = "broker refuses to write"
    BURST = "burst of reads"
    SLOW = "slow connections"
    POISON = "poison study"


TRIAL_WORKERS = ("trial-worker-0", "trial-worker-1")
DECK = (
    *((FaultKind.KILL, name) for name in (*TRIAL_WORKERS, "study-worker", "api", "runner-0")),
    *((FaultKind.KILL, name) for name in ("valkey", "postgres")),
    *((FaultKind.KILL_CHILD, name) for name in (*TRIAL_WORKERS, "study-worker")),
    *((FaultKind.STOP_CHILD, name) for name in (*TRIAL_WORKERS, "study-worker")),
    *((FaultKind.STOP, name) for name in ("runner-0", "api", "valkey")),
    *((FaultKind.RESTART, name) for name in ("valkey", "postgres")),
    (FaultKind.WIPE, "valkey"),
    *((kind, "postgres") for kind in (FaultKind.CUT_BEFORE, FaultKind.CUT_AFTER) for _ in range(2)),
    *((FaultKind.DOUBLE, "valkey") for _ in range(2)),
    *((FaultKind.SKEW, name) for name in ("trial-worker-0", "study-worker", "api", "runner-0")),
    *((FaultKind.FILL_DISK, name) for name in (*TRIAL_WORKERS, "study-worker", "api")),
    (FaultKind.REFUSE, "valkey"),
    *((FaultKind.BURST, "api") for _ in range(2)),
    (FaultKind.SLOW, "api"),
    *((FaultKind.POISON, "study-worker") for _ in range(2)),
)
"""Each fault as often as it comes in one round."""


@dataclass(frozen=True)
class Fault:
    """One thing that goes wrong, at a time since the start of the run."""

    at_seconds: float
    kind: FaultKind
    target: str
    skew_seconds: int = 0


def draw_faults(seed: int, *, seconds: float, mean_gap_seconds: float) -> Iterator[Fault]:
    """Draw faults round by round, each round in an order of its own, so that none is forgotten for long."""
    rng = random.Random(seed)
    at = 0.0
    while True:
        for kind, target in rng.sample(DECK, len(DECK)):
            at += rng.uniform(0.5, 1.5) * mean_gap_seconds
            if at >= seconds:
                return
            skew = rng.choice(SKEWS_SECONDS) if kind is FaultKind.SKEW else 0
            yield Fault(round(at, 2), kind, target, skew)


@dataclass
class Nemesis:
    """Strikes a stack. `study_ids` names studies that may be woken for nothing; `repairs` are still due.

    `poisonous_turns` gives the holders of turns that kill whoever has them while `poisoned_until` lies ahead.
    """

    stack: Stack
    proxy: PostgresProxy
    log: Path
    study_ids: Callable[[], list[str]]
    poisonous_turns: Callable[[], list[str]]
    crowds: Crowds
    struck: Counter[str] = field(default_factory=Counter)
    repairs: list[tuple[float, Callable[[], None]]] = field(default_factory=list)
    poisoned_until: float = -math.inf

    def strike(self, fault: Fault) -> None:
        """Let a fault happen, and note it. What has no victim just now is noted as missed."""
        try:
            self._strike(fault)
            missed = False
        except psutil.NoSuchProcess:
            missed = True
        self.struck[f"{fault.kind}, missed" if missed else fault.kind.value] += 1
        line = {"time": time.time(), **asdict(fault), "missed": missed}
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def repair(self, *, everything: bool = False) -> None:
        """Undo what has lasted long enough, or everything."""
        now = time.monotonic()
        due = [item for item in self.repairs if everything or item[0] <= now]
        self.repairs = [item for item in self.repairs if item not in due]
        if everything:
            self.proxy.armed.clear()
            self.poisoned_until = -math.inf
        for _, undo in due:
            # Whoever was killed meanwhile is in order again.
            with suppress(psutil.NoSuchProcess, RedisError):
                undo()
        if now < self.poisoned_until:
            self._kill_who_is_at_a_poison_study()

    def _strike(self, fault: Fault) -> None:
        match fault.kind:
            case FaultKind.KILL:
                self._process(fault.target).kill()
            case FaultKind.KILL_CHILD:
                self._pool_child(fault.target).kill()
            case FaultKind.STOP:
                self._stop(self._process(fault.target))
            case FaultKind.STOP_CHILD:
                self._stop(self._pool_child(fault.target))
            case FaultKind.RESTART:
                # Postgres calls this an immediate shutdown: no checkpoint, recovery at its start.
                number = signal.SIGQUIT if fault.target == "postgres" else signal.SIGTERM
                self._process(fault.target).send_signal(number)
            case FaultKind.WIPE:
                self._wipe()
            case FaultKind.CUT_BEFORE:
                self.proxy.armed.extend([Cut.BEFORE] * CUTS)
            case FaultKind.CUT_AFTER:
                self.proxy.armed.extend([Cut.AFTER] * CUTS)
            case FaultKind.DOUBLE:
                self._double()
                self._later(self._double)
            case FaultKind.SKEW:
                child = self._child(fault.target)
                child.environment = {**child.environment, "SHIFTED_CLOCK_SECONDS": str(fault.skew_seconds)}
                self._process(fault.target).kill()
            case FaultKind.FILL_DISK:
                self._fill_disk(fault.target)
            case FaultKind.REFUSE:
                self._refuse_writing()
            case FaultKind.BURST:
                self.crowds.read_at_once()
            case FaultKind.SLOW:
                self.crowds.connect_and_wait(seconds=STOP_SECONDS)
            case FaultKind.POISON:
                self.poisoned_until = time.monotonic() + POISON_SECONDS

    def _child(self, name: str) -> Child:
        return next(item.child for item in self.stack.supervised if item.child.name == name)

    def _process(self, name: str) -> psutil.Process:
        child = self._child(name)
        if not child.is_running() or child.pid is None:
            raise psutil.NoSuchProcess(child.pid or 0, name)
        return psutil.Process(child.pid)

    def _pool_child(self, name: str) -> psutil.Process:
        parent = self._process(name)
        children = parent.children()
        if not children:
            raise psutil.NoSuchProcess(parent.pid, f"the child of {name}")
        return children[0]

    def _later(self, undo: Callable[[], None]) -> None:
        self.repairs.append((time.monotonic() + STOP_SECONDS, undo))

    def _stop(self, process: psutil.Process) -> None:
        process.suspend()
        self._later(process.resume)

    def _wipe(self) -> None:
        process = self._process("valkey")
        process.kill()
        # It writes no more once it is gone; the supervisor collects it.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            time.sleep(0.01)
        shutil.rmtree(self.stack.state_dir / "valkey" / "appendonlydir", ignore_errors=True)

    def _fill_disk(self, name: str) -> None:
        process = self._process(name) if name == "api" else self._pool_child(name)
        _, hard = process.rlimit(psutil.RLIMIT_FSIZE)
        room = self._child(name).log.stat().st_size + SPARE_BYTES
        process.rlimit(psutil.RLIMIT_FSIZE, (room, hard))
        self._later(lambda: process.rlimit(psutil.RLIMIT_FSIZE, (hard, hard)))

    def _refuse_writing(self) -> None:
        def limit(max_bytes: int) -> None:
            url = self.stack.environment["BROKER_URL"]
            with Redis.from_url(redis_url(url), socket_timeout=1, socket_connect_timeout=1) as broker:
                broker.config_set("maxmemory", max_bytes)

        with suppress(RedisError):
            limit(1)
            self._later(lambda: limit(0))

    def _kill_who_is_at_a_poison_study(self) -> None:
        with suppress(psutil.NoSuchProcess):
            child = self._pool_child("study-worker")
            is_there = child.status() != psutil.STATUS_ZOMBIE
            if is_there and any(f":{child.pid}:" in holder for holder in self.poisonous_turns()):
                child.kill()
                self.struck["killed by a poison study"] += 1

    def _double(self) -> None:
        """Send hints through the real broker: for what is open, what has ended, what has been deleted."""
        with Celery("nemesis", broker=self.stack.environment["BROKER_URL"], set_as_current=False) as app:
            app.conf.broker_transport_options = {"socket_timeout": 1, "socket_connect_timeout": 1}
            with suppress(BrokerAway, RedisError, OSError):
                for _ in range(HINTS):
                    app.send_task("run_trial", queue="trials", retry=False)
                for study_id in [*self.study_ids()[-HINTS:], "std_nobody"]:
                    for _ in range(3):
                        app.send_task("advance_study", args=(study_id,), queue="studies", retry=False)
