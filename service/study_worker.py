"""The study worker: propose what a study wants next. The one place where life cycle and optimiser meet.

Start it with `celery -A service.tasks worker -Q studies -c 1`.
"""

import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog
from celery import Task
from celery.signals import (
    after_setup_logger,
    after_setup_task_logger,
    worker_init,
    worker_process_init,
    worker_process_shutdown,
)
from opentelemetry import trace
from sqlalchemy.exc import OperationalError

from api_schemas.proposals import Proposer
from service.runtime.broker import ADVANCE_STUDY, celery_app
from service.runtime.logs import configure_logs, write_json
from service.runtime.process_lifetime import die_with_parent
from service.runtime.telemetry import received, start_telemetry, stop_telemetry, tracer
from service.runtime.work_limits import TimeLimitReached, at_most, limit_memory
from service.storage.counters import CounterName, count
from service.storage.database import transaction
from service.suggestions.front_beliefs import read_belief_request, store_beliefs
from service.suggestions.parameter_importance import read_importance_request, store_weighing
from service.suggestions.race_rounds import advance_race
from service.suggestions.study_suggestions import (
    SuggestionRequest,
    end_search,
    read_request,
    store_suggestions,
)
from service.trials import super_networks, turns
from service.trials.leases import forget_inherited_connections
from service.trials.turns import Turn

if TYPE_CHECKING:
    from service.optimization.proposers import Suggest

log = structlog.get_logger(__name__)

TURN_SECONDS = 60.0
TIME_LIMITS = 10
"""A turn may take the first, and so many times what its study allows a proposal: no whole one does."""
WEIGHING_SECONDS = 120.0
BELIEVING_SECONDS = 120.0
FITTING_SECONDS = 60.0
"""Of the time for weighing, or for the front: models that are not done by then are taken as they are."""
DRAWS = 3
"""How often a study draws elsewhere before it is clear that nothing new is left."""
RANDOM = Proposer.RANDOM

app = celery_app
configure_logs()
after_setup_logger.connect(write_json)
after_setup_task_logger.connect(write_json)


@worker_init.connect
def load_optimiser(**_: object) -> None:
    """Load torch and BoTorch before the pool forks: a child that replaces a killed one works at once.

    See docs/decisions/0071-the-study-worker-loads-torch-before-it-forks.md.
    """
    import service.optimization.believed_front
    import service.optimization.importance
    import service.optimization.suggest  # noqa: F401


@worker_process_init.connect
def prepare_child(**_: object) -> None:
    """Give the pool's child its own connections, and let it die with its parent."""
    die_with_parent()
    forget_inherited_connections()
    limit_memory()
    start_telemetry("paretune-study-worker")


@worker_process_shutdown.connect
def end_child(**_: object) -> None:
    """Send the last traces."""
    stop_telemetry()


@celery_app.task(name=ADVANCE_STUDY, bind=True)
def advance_study(self: Task, study_id: str) -> None:
    """Give the study that is next its turn: the message, of whatever study, is a hint that one may be due."""
    # A study may live for days: what the end of a trial wakes is a trace of its own.
    apart = self.request.parent_id is not None
    with received(ADVANCE_STUDY, self.request, new_trace=apart, study_id=study_id):
        turn = turns.begin(f"{socket.gethostname()}:{os.getpid()}")
        if turn is not None:
            trace.get_current_span().set_attribute("study_id", turn.study_id)
            with structlog.contextvars.bound_contextvars(study_id=turn.study_id), turns.kept(turn):
                _take(turn)


def _take(turn: Turn) -> None:
    """Propose what the study wants, new trials and queued ones anew; then model its front and weigh."""
    try:
        with at_most(TURN_SECONDS + TIME_LIMITS * turn.time_limit_seconds):
            _propose(turn.study_id)
        _try(_believe, turn, seconds=BELIEVING_SECONDS)
        _compare_one_shot(turn.study_id)
        _race(turn.study_id)
    except OperationalError as error:
        log.warning("the database is away; the study has its turn later", error=str(error.orig))
        turns.give_back(turn)
        return
    except (Exception, TimeLimitReached) as error:
        log.exception("turn failed")
        turns.fail(turn, error)
        return
    _try(_weigh_parameters, turn, seconds=WEIGHING_SECONDS)
    turns.finish(turn)


def _try(further: Callable[[Turn], None], turn: Turn, *, seconds: float) -> None:
    """Do what may follow a proposal; trials do not depend on it."""
    try:
        with at_most(seconds):
            further(turn)
    except (Exception, TimeLimitReached):
        log.exception("proposed, but not all that follows is done", failed=further.__name__)
        turns.count_failed_extra()


def _propose(study_id: str) -> None:
    with transaction() as session:
        request = read_request(session, study_id)
    if request is None:
        return
    from service.optimization.proposers import proposer_of

    if _ask(study_id, request, proposer_of(request.proposer)):
        return
    log.warning("nothing that was suggested was new; drawing elsewhere", proposer=request.proposer)
    for draw in range(1, DRAWS + 1):
        with transaction() as session:
            again = read_request(session, study_id)
        if again is None or _ask(study_id, replace(again, seed=again.seed + draw), proposer_of(RANDOM)):
            return
    with transaction() as session:
        end_search(session, study_id)


def _ask(study_id: str, request: SuggestionRequest, propose: "Suggest") -> bool:
    """Ask a proposer and store what it suggests; say whether the study has got anywhere."""
    started = time.perf_counter()
    asked = {
        "proposer": request.proposer.value,
        "count": request.count,
        "observations": len(request.observations),
        "pending": len(request.pending),
    }
    with tracer.start_as_current_span("propose", attributes=asked) as span:
        suggestions = propose(
            request.problem,
            request.observations,
            pending=request.pending,
            count=request.count,
            seed=request.seed,
            time_limit_seconds=request.time_limit_seconds,
        )
        span.set_attributes(
            {
                "generated_by": [suggestion.generated_by for suggestion in suggestions],
                "fit_seconds": sum(suggestion.fit_seconds for suggestion in suggestions),
                "search_seconds": sum(suggestion.search_seconds for suggestion in suggestions),
            }
        )
    seconds = time.perf_counter() - started
    log.info("proposed", count=len(suggestions), seconds=round(seconds, 3))
    with transaction() as session:
        new = store_suggestions(session, study_id, suggestions, request=request, seconds=seconds)
        # Last, so that no transaction waits for a sum while this one waits for the study.
        count(session, CounterName.PROPOSALS)
        count(session, CounterName.PROPOSAL_SECONDS, seconds)
    return new


def _believe(turn: Turn) -> None:
    with transaction() as session:
        request = read_belief_request(session, turn.study_id)
    if request is None:
        return
    turns.count_believing(turn)
    from service.optimization.believed_front import believe

    started = time.perf_counter()
    with tracer.start_as_current_span("believe"):
        beliefs = believe(
            request.problem,
            request.observations,
            succeeded=request.trial_ids.keys(),
            compared_with=request.compared_with,
            seed=request.seed,
            time_limit_seconds=FITTING_SECONDS,
        )
    log.info("modelled the front", seconds=round(time.perf_counter() - started, 3))
    with transaction() as session:
        store_beliefs(session, turn.study_id, beliefs, request=request)


def _race(study_id: str) -> None:
    with transaction() as session:
        advance_race(session, study_id)


def _compare_one_shot(study_id: str) -> None:
    with transaction() as session:
        super_networks.compare(session, study_id)


def _weigh_parameters(turn: Turn) -> None:
    with transaction() as session:
        request = read_importance_request(session, turn.study_id)
    if request is None:
        return
    turns.count_weighing(turn)
    from service.optimization.importance import weigh_parameters

    started = time.perf_counter()
    with tracer.start_as_current_span("weigh parameters"):
        found = weigh_parameters(
            request.problem,
            request.observations,
            earlier=request.earlier,
            seed=request.seed,
            time_limit_seconds=FITTING_SECONDS,
        )
    seconds = time.perf_counter() - started
    log.info("weighed parameters", seconds=round(seconds, 3))
    with transaction() as session:
        store_weighing(session, turn.study_id, found.importance, found.slices)
