"""When a study hands out no more trials, and the id under which a worker asks for them."""

import os
import re
import secrets
import socket

from api_schemas.ask_and_tell import SuggestedTrials
from api_schemas.events import EventType
from api_schemas.studies import TERMINAL_STUDY_STATES, StudyRead, StudyState

PAUSE_SECONDS = 1.0
"""Between two questions that each have waited on the server."""

ENDING_EVENTS = frozenset({EventType.STUDY_SUCCEEDED, EventType.STUDY_FAILED, EventType.STUDY_CANCELLED})
"""What is recorded as a study enters one of those states."""


def has_ended(study: StudyRead) -> bool:
    """Return whether a study will not change any more by itself."""
    return study.state in TERMINAL_STUDY_STATES


def hands_out_no_more(answer: SuggestedTrials) -> bool:
    """Return whether asking again cannot succeed."""
    return answer.study_state in (*TERMINAL_STUDY_STATES, StudyState.CANCELLING)


def lease_of(answer: SuggestedTrials) -> float:
    """Return the length of the first trial's lease, which may be older than the question."""
    return answer.trials[0].lease_seconds or answer.lease_seconds


def new_worker_id() -> str:
    """Make a name that no other worker has: host, process and chance."""
    host = re.sub(r"[^A-Za-z0-9.-]", "-", socket.gethostname())[:50].lstrip(".-") or "host"
    return f"{host}.{os.getpid()}.{secrets.token_hex(6)}"
