"""One run: the whole server, a nemesis that breaks it, an owner and a runner that go on, and the verdict.

`make chaos MINUTES=20 SEED=1` runs it for long; a short one is among the tests.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import typer
from sqlalchemy import Engine, create_engine, make_url, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from paretune.child_process import python_child
from paretune.client import requests
from paretune.embedded_postgres import EmbeddedPostgres, free_port
from paretune.local import Stack, running_stack
from paretune.restarts import Supervised
from service.storage.counters import CounterName, totals
from service.storage.models import Study
from tests.chaos.load import Crowds
from tests.chaos.nemesis import LEASE_SECONDS, Fault, Nemesis, draw_faults
from tests.chaos.owner import ENDED, POISON, Owner
from tests.chaos.postgres_proxy import PostgresProxy, postgres_proxy
from tests.chaos.recorded import ALL, Violations, broken_artifacts, read_histories, violations, wrong_effects
from tests.conftest import reachable_directory

ROOT = Path(__file__).parents[2]
SETTLE_SECONDS = 200.0
REQUEST_SECONDS = 8.0
INVARIANTS = (
    *(invariant.__name__ for invariant in ALL),
    "one_effect_per_key",
    "artifacts_are_whole",
    "no_unexpected_answer",
    "every_study_ends",
)


@dataclass
class Arena:
    """A server on a database behind a proxy. `engine` goes past the proxy."""

    stack: Stack
    proxy: PostgresProxy
    engine: Engine
    refusals: Path
    checked: int = 0
    violations: Violations = field(default_factory=dict)

    def find(self, found: Violations) -> None:
        """Add what was found to the verdict."""
        for name, sentences in found.items():
            self.violations.setdefault(name, []).extend(sentences)

    def poisonous_turns(self) -> list[str]:
        """Give who is at a study that is to kill its worker now."""
        query = select(Study.turn_holder).where(Study.display_name == POISON, Study.turn_holder.is_not(None))
        try:
            with Session(self.engine) as session:
                return [str(holder) for holder in session.scalars(query)]
        except OperationalError:
            return []

    def parked(self) -> int:
        """Count how often a study was paused for breaking its worker, deleted ones among them."""
        with Session(self.engine) as session:
            return int(totals(session)[CounterName.PARKED_STUDIES])

    def check_before_deletion(self, study_id: str) -> bool:
        """Check a study while it can be read; say whether it could."""
        try:
            histories = read_histories(self.engine, [study_id])
        except OperationalError:
            return False
        self.checked += len(histories)
        self.find(violations(histories))
        return True


@contextmanager
def arena(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Arena]:
    """Start the server with short leases, two trial workers and a runner outside."""
    for name in ("BROKER_URL", "PARETUNE_ARTIFACTS_URL"):
        monkeypatch.delenv(name, raising=False)
    settings = {"LEASE_SECONDS": LEASE_SECONDS, "SWEEP_SECONDS": 0.3, "WAKE_UP_SECONDS": 3, "MAX_ATTEMPTS": 5}
    for name, value in settings.items():
        monkeypatch.setenv(f"PARETUNE_{name}", str(value))
    shifted_clock = Path(__file__).with_name("shifted_clock")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(shifted_clock), str(ROOT)]))
    postgres = EmbeddedPostgres(root / "postgres", log=root / "postgres.log", port=free_port(), fsync=False)
    try:
        postgres.start()
        with postgres_proxy(postgres.port) as proxy:
            through = make_url(postgres.url).set(port=proxy.port)
            monkeypatch.setenv("DATABASE_URL", through.render_as_string(hide_password=False))
            with running_stack(root / "state", trial_workers=2, say=lambda _: None) as stack:
                stack.supervised.insert(0, Supervised(postgres.child, started_at=time.monotonic()))
                yield _opened(stack, proxy, create_engine(postgres.url, pool_pre_ping=True))
    finally:
        postgres.stop()


def _opened(stack: Stack, proxy: PostgresProxy, engine: Engine) -> Arena:
    refusals = stack.state_dir / "refusals.jsonl"
    stack.start(
        python_child(
            "runner-0",
            ["-m", "tests.chaos.outside_runner"],
            log=stack.state_dir / "logs" / "runner-0.log",
            environment={
                "PARETUNE_URL": stack.url,
                "PARETUNE_API_KEY": stack.api_key,
                "PARETUNE_REFUSALS": str(refusals),
            },
        )
    )
    return Arena(stack, proxy, engine, refusals)


def run(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, seed: int, seconds: float, mean_gap_seconds: float
) -> dict[str, Any]:
    """Break the server for so long, let it settle, and give the report; `violations` should be empty."""
    with (
        arena(root, monkeypatch) as opened,
        httpx.Client(
            base_url=opened.stack.url,
            headers={"Authorization": f"Bearer {opened.stack.api_key}"},
            timeout=REQUEST_SECONDS,
        ) as http,
    ):
        owner = Owner(http, random.Random(seed), opened.check_before_deletion)
        nemesis = Nemesis(
            opened.stack,
            opened.proxy,
            root / "faults.jsonl",
            lambda: owner.study_ids,
            opened.poisonous_turns,
            Crowds(opened.stack.url, opened.stack.api_key),
        )
        faults = draw_faults(seed, seconds=seconds, mean_gap_seconds=mean_gap_seconds)
        _break(opened.stack, nemesis, owner, faults=faults, seconds=seconds)
        settled_seconds = _settle(opened, owner, nemesis)
        verdict = _verdict(opened, owner, nemesis)
    return {"seed": seed, "seconds": seconds, "settled_seconds": settled_seconds, **verdict}


def _break(stack: Stack, nemesis: Nemesis, owner: Owner, *, faults: Iterator[Fault], seconds: float) -> None:
    stopped = threading.Event()
    working = threading.Thread(target=owner.work_until, args=(stopped,), name="owner", daemon=True)
    working.start()
    started = time.monotonic()
    for fault in faults:
        _supervise(stack, nemesis, until=started + fault.at_seconds)
        nemesis.strike(fault)
    _supervise(stack, nemesis, until=started + seconds)
    nemesis.repair(everything=True)
    stopped.set()
    while working.is_alive():
        _supervise(stack, nemesis, until=time.monotonic() + 0.1)


def _supervise(stack: Stack, nemesis: Nemesis, *, until: float) -> None:
    while time.monotonic() < until:
        stack.supervise_once()
        nemesis.repair()
        time.sleep(0.05)


def _settle(opened: Arena, owner: Owner, nemesis: Nemesis) -> float:
    """Let every study end now that nothing breaks any more; one that does not is a violation."""
    started = time.monotonic()
    still_open: list[str] = ["?"]
    while still_open and time.monotonic() < started + SETTLE_SECONDS:
        _supervise(opened.stack, nemesis, until=time.monotonic() + 0.5)
        studies = _open_studies(opened, owner)
        if studies is None:
            continue
        still_open = [f"{study['id']} is {study['state']}" for study in studies]
    if still_open:
        opened.find({"every_study_ends": still_open})
    return round(time.monotonic() - started, 1)


def _open_studies(opened: Arena, owner: Owner) -> list[dict[str, Any]] | None:
    # Supervised by the caller's thread, so an API that was killed last needs a further round.
    try:
        response = owner.http.get("/v1/studies", params={"page_size": "500"})
    except httpx.TransportError:
        return None
    if response.is_error:
        return None
    studies = [study for study in response.json()["studies"] if study["state"] not in ENDED]
    for study in studies:
        if study["state"] == "PAUSED":
            owner.send(requests.resume(study["id"]))
    return studies


def _verdict(opened: Arena, owner: Owner, nemesis: Nemesis) -> dict[str, Any]:
    histories = read_histories(opened.engine)
    opened.find(violations(histories))
    parked = opened.parked()
    nemesis.crowds.join()
    artifacts_dir = Path(opened.stack.environment["PARETUNE_ARTIFACTS_URL"])
    refused = opened.refusals.read_text(encoding="utf-8").splitlines() if opened.refusals.exists() else []
    for name, sentences in {
        "one_effect_per_key": list(wrong_effects(opened.engine, owner.postings, histories=histories)),
        "artifacts_are_whole": list(broken_artifacts(opened.engine, artifacts_dir)),
        "no_unexpected_answer": [*owner.unexpected, *refused, *nemesis.crowds.unexpected()],
    }.items():
        if sentences:
            opened.find({name: sentences})
    opened.engine.dispose()
    trials = [trial for history in histories for trial in history.trials]
    return {
        "faults": dict(sorted(nemesis.struck.items())),
        "cuts": dict(opened.proxy.cuts),
        "studies": dict(Counter(history.study.state.value for history in histories)),
        "studies_checked": opened.checked + len(histories),
        "studies_deleted": len(owner.deleted),
        "studies_parked": parked,
        "answers_to_bursts": {str(status): count for status, count in sorted(nemesis.crowds.answers.items())},
        "slow_connections": nemesis.crowds.connected,
        "trials": dict(Counter(trial.state.value for trial in trials)),
        "attempts_lost": sum(row.lost_attempts for history in histories for row in history.replicates),
        "events": sum(len(history.events) for history in histories),
        "fronts": sum(len(history.fronts) for history in histories),
        "postings": len(owner.postings),
        "answers": {str(status): count for status, count in sorted(owner.answers.items())},
        "invariants": INVARIANTS,
        "violations": opened.violations,
    }


def main(
    minutes: Annotated[float, typer.Option(help="How long things break.")] = 20.0,
    seed: Annotated[int, typer.Option(help="Draws the faults and what the owner does.")] = 1,
    gap: Annotated[float, typer.Option(help="Seconds between two faults, on average.")] = 8.0,
    report: Annotated[Path, typer.Option(help="Where the report is written.")] = Path("chaos-report.json"),
    keep: Annotated[Path | None, typer.Option(help="Where logs and data stay, to look into.")] = None,
) -> None:
    """Run the nemesis against an embedded server, and say what held."""
    kept = reachable_directory() if keep is None else nullcontext(keep.absolute())
    with pytest.MonkeyPatch.context() as monkeypatch, kept as root:
        verdict = run(root, monkeypatch, seed=seed, seconds=60 * minutes, mean_gap_seconds=gap)
        log = (root / "faults.jsonl").read_text(encoding="utf-8").splitlines()
    lines = {**verdict, "log": [json.loads(line) for line in log]}
    report.write_text(json.dumps(lines, indent=2) + "\n", encoding="utf-8")
    _tell(verdict)
    raise typer.Exit(int(bool(verdict["violations"])))


def _tell(verdict: dict[str, Any]) -> None:
    for name, value in verdict.items():
        if name not in ("invariants", "violations"):
            typer.echo(f"{name}: {value}")
    for name in verdict["invariants"]:
        broken = verdict["violations"].get(name, [])
        typer.echo(f"{'BROKEN' if broken else 'held':>6}  {name}")
        for sentence in broken:
            typer.echo(f"        {sentence}")


if __name__ == "__main__":
    typer.run(main)
