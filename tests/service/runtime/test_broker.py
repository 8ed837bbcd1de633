"""What is sent to a broker whose workers are away, on a real one."""

import pytest
from kombu.exceptions import ContentDisallowed
from kombu.serialization import loads, prepare_accept_content

from service.runtime import broker
from service.runtime.broker import (
    ADVANCE_STUDY,
    MOST_HINTS,
    RUN_TRIAL,
    STUDIES_QUEUE,
    TRIALS_QUEUE,
    WakeUp,
)
from tests.service.test_faults import messages, purge

pytestmark = pytest.mark.usefixtures("service_environment")


def waiting(queue: str) -> int:
    found = 0
    with messages(queue) as take:
        while (message := take()) is not None:
            message.ack()
            found += 1
    return found


def test_hints_at_trials_do_not_pile_up_while_no_worker_takes_them() -> None:
    """They are all alike; as many as any number of workers could use are kept, and studies are woken on."""
    for queue in (TRIALS_QUEUE, STUDIES_QUEUE):
        purge(queue)
    for _ in range(3):
        broker.send_wake_ups([*[WakeUp(RUN_TRIAL)] * MOST_HINTS, WakeUp(ADVANCE_STUDY, ("std_none",))])
    assert waiting(STUDIES_QUEUE) == 3
    assert waiting(TRIALS_QUEUE) == MOST_HINTS
    broker.send_wake_ups([WakeUp(RUN_TRIAL)])
    assert waiting(TRIALS_QUEUE) == 1


def test_messages_are_json_and_nothing_else() -> None:
    """Who got hold of the broker's password can wake workers, and have them run nothing of theirs."""
    accepted = prepare_accept_content(broker.celery_app.conf.accept_content)
    assert loads(b"[]", "application/json", "utf-8", accept=accepted) == []
    for kind in ("application/x-python-serialize", "application/x-yaml", "application/x-msgpack"):
        with pytest.raises(ContentDisallowed):
            loads(b"", kind, "binary", accept=accepted, force=True)
