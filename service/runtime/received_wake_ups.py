"""What a worker has received, and forgets once it has begun it, whether the broker hears so or not.

Celery takes the next message only once the last one is acknowledged, and one whose acknowledgement fails is
never acknowledged again: a broker that stalls at that moment would leave the worker deaf for ever.
"""

from celery.worker.request import Request
from kombu.transport.virtual import QoS


class ReceivedWakeUp(Request):  # type: ignore[misc]  # Celery ships no types
    """Celery's own request, but its place is free in any case.

    A wake-up whose acknowledgement the broker missed may come again, and then finds nothing to do.
    """

    def acknowledge(self) -> None:
        """Tell the broker; where that fails, tell only this worker's own count."""
        super().acknowledge()
        if not self.message.acknowledged:
            # The base class's, for it counts, and sends nothing.
            QoS.ack(self.message.channel.qos, self.message.delivery_tag)
