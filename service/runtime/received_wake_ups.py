"""Received messages that leave a worker's count once begun, even if the broker misses the acknowledgement.

Celery takes the next message only once the last one is acknowledged, and one whose acknowledgement fails is
never acknowledged again: if the broker stalls at that moment, the worker would never take another message.
"""

from celery.worker.request import Request
from kombu.transport.virtual import QoS


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
