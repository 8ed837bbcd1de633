"""The study worker: propose what a study wants next. The one place where life cycle and optimiser meet.

Start it with `celery -A service.tasks worker -Q studies -c 1`.
"""

import time

import structlog
from celery.signals import worker_process_init

from service.broker import ADVANCE_STUDY, celery_app
from service.database import transaction
from service.leases import forget_inherited_connections
from service.logs import configure_logs
from service.process_lifetime import die_with_parent
from service.proposals import read_request, stop_proposing, store_suggestions

log = structlog.get_logger(__name__)

app = celery_app
configure_logs()


@worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Give the pool's child its own connections, and let it die with its parent."""
    die_with_parent()
    forget_inherited_connections()


@celery_app.task(name=ADVANCE_STUDY)
def advance_study(study_id: str) -> None:
    """Propose and queue the trials that the study wants now; nothing wanted, nothing done."""
    with transaction() as session:
        request = read_request(session, study_id)
    if request is None:
        return
    # torch and BoTorch load in the pool's child, never in its parent.
    from service.optimization.proposers import ProposerUnavailable, proposer_of

    try:
        propose = proposer_of(request.proposer)
    except ProposerUnavailable as error:
        log.error("proposer unavailable", study_id=study_id, reason=str(error))
        with transaction() as session:
            stop_proposing(session, study_id, reason=str(error))
        return
    started = time.perf_counter()
    suggestions = propose(
        request.problem,
        request.observations,
        pending=request.pending,
        count=request.count,
        seed=request.seed,
    )
    seconds = time.perf_counter() - started
    log.info("proposed", study_id=study_id, count=len(suggestions), seconds=round(seconds, 3))
    with transaction() as session:
        store_suggestions(session, study_id, suggestions, asked=request.count, seconds=seconds)
