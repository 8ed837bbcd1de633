"""Send observations to a study, in batches. What conflicts with a result that is there holds up no other."""

from collections.abc import Sequence
from dataclasses import dataclass

from api_schemas.ask_and_tell import ImportedObservation
from paretune.bridge_progress import Progress
from paretune.client import Client
from paretune.errors import RequestRefused

BATCH = 200
"""Observations in one request: each request stores one front and moves the bar."""

CONFLICT = "/problems/conflicting-result"
POINTER = "/observations/"


@dataclass(frozen=True)
class Sent:
    """How many observations were new, and a sentence for each that the study has another result of."""

    imported: int
    conflicts: tuple[str, ...] = ()


def send(
    client: Client, study_id: str, observations: Sequence[ImportedObservation], *, on_progress: Progress
) -> Sent:
    """Send observations.

    Raises:
        RequestRefused: If the server refuses them for another reason than a result that is there.
    """
    imported = 0
    conflicts: list[str] = []
    for start in range(0, len(observations), BATCH):
        batch = observations[start : start + BATCH]
        sent = _send_batch(client, study_id, batch)
        imported += sent.imported
        conflicts += sent.conflicts
        on_progress(start + len(batch), len(observations))
    return Sent(imported, tuple(conflicts))


def _send_batch(client: Client, study_id: str, batch: Sequence[ImportedObservation]) -> Sent:
    rest = list(batch)
    conflicts: list[str] = []
    while rest:
        try:
            return Sent(client.import_observations(study_id, rest).imported, tuple(conflicts))
        except RequestRefused as refused:
            conflicting = _conflicts(refused)
            if not conflicting:
                raise
        conflicts += [f"Left out, a result is there: {sentence}." for sentence in conflicting.values()]
        rest = [item for place, item in enumerate(rest) if place not in conflicting]
    return Sent(0, tuple(conflicts))


def _conflicts(refused: RequestRefused) -> dict[int, str]:
    """Return the sentence about each observation that a study has another result of."""
    if refused.problem.type != CONFLICT:
        return {}
    conflicting = {}
    for item in refused.problem.errors:
        place = item.pointer.removeprefix(POINTER).partition("/")[0]
        if item.pointer.startswith(POINTER) and place.isdecimal():
            conflicting[int(place)] = item.detail.rstrip(".")
    return conflicting
