"""One trial worker for each GPU of this machine, as children of one process, for a server elsewhere.

It starts them, starts again what dies, and passes on that it was told to stop. It loads no torch and claims
no trial; each child sees one GPU. What they log goes where this process prints.
"""

import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from paretune import commands, store_addresses
from paretune.child_process import Child, python_child
from paretune.errors import ParetuneError
from paretune.gpus import visible_gpus
from paretune.interruption import interruptible
from paretune.restarts import SUPERVISION_SECONDS, Supervised, restart_what_died, stop_together

STOP_SECONDS = 25.0
"""For a worker to give its trial back; containers get 30 before they are killed."""


NEEDED = ("DATABASE_URL", "BROKER_URL", "PARETUNE_ARTIFACTS_URL")


class StoresUnknown(ParetuneError):
    """Nobody said where the server's database, queue or artifacts are."""


def run_trial_workers(name: str, *, say: Callable[[str], None]) -> None:
    """Run a worker for each visible GPU, or one on the CPU, until SIGINT, SIGTERM or SIGQUIT ends all.

    Raises:
        StoresUnknown: If a variable that leads to a store is not set.
        SecretUnreadable: If the file of a password cannot be read.
    """
    _check_stores()
    gpus = visible_gpus()
    children = box_workers(name, gpus)
    devices = [gpu if gpu.startswith(("GPU", "MIG")) else f"GPU {gpu}" for gpu in gpus]
    for child, device in zip(children, devices or ["the CPU: no GPU is visible"], strict=True):
        say(f"{child.name} on {device}")
    with interruptible(signal.SIGQUIT):
        try:
            for child in children:
                child.start()
            supervised = [Supervised(child, started_at=time.monotonic()) for child in children]
            while True:
                restart_what_died(supervised, say=say)
                time.sleep(SUPERVISION_SECONDS)
        except KeyboardInterrupt:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
                signal.signal(number, signal.SIG_IGN)  # one is enough: the workers give their trials back
            say("Stopping; trials that run are given back.")
        finally:
            stop_together(children)


def box_workers(name: str, gpus: Sequence[str]) -> list[Child]:
    """Return a worker for each GPU that sees it alone; without GPUs one that sees what this process sees."""
    alone = [{"CUDA_VISIBLE_DEVICES": gpu, "PARETUNE_DEVICE": "cuda"} for gpu in gpus] or [{}]
    return [
        python_child(
            f"{name}-{number}",
            commands.trial_worker(f"{name}-{number}"),
            log=None,
            environment={**environment, **_sign_of_life(number)},
            stop_signal=signal.SIGQUIT,
            stop_seconds=STOP_SECONDS,
        )
        for number, environment in enumerate(alone)
    ]


def _check_stores() -> None:
    """Refuse here what would have each worker die again and again."""
    missing = [name for name in NEEDED if not os.environ.get(name)]
    if missing:
        raise StoresUnknown(
            f"Trial workers need the server's stores: set {', '.join(missing)}. "
            "`paretune up` starts a server with workers of its own."
        )
    store_addresses.database_url()
    store_addresses.broker_url()


def _sign_of_life(number: int) -> dict[str, str]:
    """Return the file of its own that a worker touches. It is made here, so that none can be missing."""
    common = os.environ.get("PARETUNE_ALIVE_FILE")
    if not common:
        return {}
    file = Path(f"{common}-{number}")
    file.touch()
    return {"PARETUNE_ALIVE_FILE": str(file)}
