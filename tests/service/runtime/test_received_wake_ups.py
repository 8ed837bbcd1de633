"""A worker on a real Valkey that stalls at the wrong moment."""

import threading
from collections.abc import Iterator

import pytest
import redis
from celery.contrib.testing.worker import start_worker
from celery.signals import task_received

from service.runtime import broker
from service.runtime.broker_address import redis_url

NOTE = "note"
"""A task of its own: those of the service may be in the registry of every app already."""

STALL_MILLISECONDS = 600
SOCKET_SECONDS = 0.2


@pytest.fixture
def valkey(service_environment: None, valkey_url: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url(valkey_url)) as client:
        client.flushall()
        yield client


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # Celery's worker leaves a socket to the collector
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_worker_goes_on_after_a_broker_that_stalled_while_it_acknowledged(valkey: redis.Redis) -> None:
    """The acknowledgement is lost; the next wake-up is received all the same."""
    app = broker.make_celery_app()
    app.conf.broker_transport_options |= {"socket_timeout": SOCKET_SECONDS}
    received: list[str] = []
    woken_again = threading.Event()

    @app.task(name=NOTE)
    def note(study_id: str) -> None:
        if study_id == "second":
            woken_again.set()

    def stall_once(**_: object) -> None:
        if not received:
            valkey.execute_command("CLIENT", "PAUSE", STALL_MILLISECONDS, "WRITE")
        received.append("a wake-up")

    task_received.connect(stall_once)
    patient = broker.make_celery_app()
    try:
        with start_worker(app, pool="solo", perform_ping_check=False, queues=[broker.STUDIES_QUEUE]):
            for study_id in ("first", "second"):
                patient.send_task(NOTE, args=(study_id,), queue=broker.STUDIES_QUEUE, retry=False)
            assert woken_again.wait(30)
    finally:
        task_received.disconnect(stall_once)
        patient.close()
