"""Received messages that leave a worker's count once begun, even if the broker misses the acknowledgement.

Celery takes the next message only once the last one is acknowledged, and one whose acknowledgement fails is
never acknowledged again: if the broker stalls at that moment, the worker would never take another message.

A child of the pool that is killed in its work can say nothing any more; its parent, where this runs, says it.
"""

from collections.abc import Callable
from dataclasses import dataclass

from billiard.einfo import ExceptionInfo, ExceptionWithTraceback
from billiard.exceptions import WorkerLostError
from celery.worker.request import Request
from kombu.transport.virtual import QoS

from service.runtime.memory_kills import memory_kills


@dataclass(frozen=True)
class LostChild:
    """The process id of a child that died in its work, how it did, and if memory ran out on its machine."""

    pid: int
    how: str
    memory_was_short: bool


on_lost_child: list[Callable[[LostChild], None]] = []
"""Is told in the parent."""


class ReceivedWakeUp(Request):  # type: ignore[misc]  # Celery ships no types
    """Celery's request, which frees its place in the prefetch count in any case.

    A wake-up whose acknowledgement the broker missed may come again, and then finds nothing to do.
    """

    def acknowledge(self) -> None:
        """Acknowledge at the broker; if that fails, only in the count of this worker."""
        super().acknowledge()
        if not self.message.acknowledged:
            # The method of the base class counts and sends nothing.
            QoS.ack(self.message.channel.qos, self.message.delivery_tag)

    def on_accepted(self, pid: int, time_accepted: float) -> None:
        """Note when a child begins, what the kernel had killed by then."""
        super().on_accepted(pid, time_accepted)
        self.memory_kills = memory_kills()

    def on_failure(
        self, exc_info: ExceptionInfo, send_failed_event: bool = True, return_ok: bool = False
    ) -> None:
        """Tell of a child that was lost, beside what Celery does about a failure."""
        super().on_failure(exc_info, send_failed_event, return_ok)
        error = exc_info.exception
        cause = error.exc if isinstance(error, ExceptionWithTraceback) else error
        if isinstance(cause, WorkerLostError) and self.worker_pid is not None:
            short = memory_kills() > getattr(self, "memory_kills", 0)
            for tell in on_lost_child:
                tell(LostChild(self.worker_pid, _how(str(cause)), memory_was_short=short))


def _how(said: str) -> str:
    """Return what Celery says of a death without the words around it: the signal, or the exit code."""
    return said.removeprefix("Worker exited prematurely: ").partition(" Job:")[0].rstrip(".")
