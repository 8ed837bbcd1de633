"""The Celery app and its wake-ups.

A message is only a hint that there may be work. It carries an id at most, is sent after the commit
that made the work, and may be lost, late or doubled: the database says what there is to do, and the
sweeper sends again.
"""

from dataclasses import dataclass

import structlog
from celery import Celery
from kombu.exceptions import OperationalError
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from sqlalchemy.orm import Session

from service.runtime.broker_address import redis_url
from service.runtime.sign_of_life import SignOfLife
from service.runtime.telemetry import sending
from service.settings import settings

log = structlog.get_logger(__name__)

ADVANCE_STUDY = "advance_study"
RUN_TRIAL = "run_trial"
STUDIES_QUEUE = "studies"
TRIALS_QUEUE = "trials"

PROBE_KEY = "paretune.probe"
PROBE_SECONDS = 0.7
"""Clients of `/readyz` wait two seconds."""


MOST_HINTS = 256
"""Wake-ups for waiting trials: more than there are workers, few enough for a broker without any."""


@dataclass(frozen=True)
class WakeUp:
    """A hint: `task` may find something to do."""

    task: str
    arguments: tuple[str, ...] = ()


def make_celery_app() -> Celery:
    """Build the Celery app. JSON only; messages are acknowledged early: leases bring lost work back."""
    app = Celery("paretune", broker=settings().broker_url.get_secret_value())
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_ignore_result=True,
        task_acks_late=False,
        task_routes={ADVANCE_STUDY: {"queue": STUDIES_QUEUE}, RUN_TRIAL: {"queue": TRIALS_QUEUE}},
        task_default_queue=STUDIES_QUEUE,
        task_annotations={"*": {"Request": "service.runtime.received_wake_ups:ReceivedWakeUp"}},
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,  # our lines are whole already
        worker_send_task_events=False,
        worker_enable_remote_control=False,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_connection_timeout=2,
        broker_transport_options={
            "socket_timeout": 5,
            "socket_connect_timeout": 2,
            "visibility_timeout": 86_400,
            "max_retries": 1,
        },
    )
    app.steps["consumer"].add(SignOfLife)
    return app


celery_app = make_celery_app()


def wake_after_commit(session: Session, wake_up: WakeUp) -> None:
    """Remember a wake-up; `transaction` sends it once the commit is through, and never before."""
    session.info.setdefault("wake_ups", []).append(wake_up)


def why_not_written() -> str | None:
    """Return why the broker takes no wake-ups; None if it takes them. Its address is not in the text."""
    try:
        with Redis.from_url(
            redis_url(settings().broker_url.get_secret_value()),
            socket_timeout=PROBE_SECONDS,
            socket_connect_timeout=PROBE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        ) as client:
            client.set(PROBE_KEY, "", px=1000)
    except ResponseError as error:
        # Its own sentence: out of memory, MISCONF (it cannot save), READONLY (a replica).
        return f"it refuses to write: {error}"
    except (RedisError, OSError) as error:
        return f"it does not answer ({type(error).__name__})"
    return None


def send_wake_ups(wake_ups: list[WakeUp]) -> None:
    """Send the wake-ups. If the broker is away they are late, not lost: the sweeper sends again.

    Wake-ups for trials are all alike: those still in the queue count as sent.
    """
    left: int | None = None
    for wake_up in wake_ups:
        try:
            if wake_up.task == RUN_TRIAL:
                left = MOST_HINTS - _waiting(TRIALS_QUEUE) if left is None else left
                if left <= 0:
                    continue
                left -= 1
            with sending(wake_up.task) as headers:
                celery_app.send_task(wake_up.task, args=wake_up.arguments, headers=headers, retry=False)
        except (OperationalError, RedisError, OSError) as error:
            log.warning(
                "wake-up not sent; the sweeper will send it again", task=wake_up.task, error=str(error)
            )
            return


def _waiting(queue: str) -> int:
    """Count the messages of a queue that no worker has taken."""
    with celery_app.pool.acquire(block=True) as connection:
        return int(connection.default_channel.client.llen(queue))
