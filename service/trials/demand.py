"""How many results come during one turn of the study worker: the queue must be as long. Pure.

The order of results and suggestions decides, no clock: the same results in the same order give the same
queue.
"""

from bisect import bisect_right
from collections.abc import Sequence

from api_schemas.studies import StudyKind
from api_schemas.trials import IMPORTED, TEACHING_STATES
from service.storage.models import Study, Trial

RECENT = 10
"""The last trials that were suggested from results: what came meanwhile is averaged over them."""

MOST_PER_RUNNER = 4
"""Trials queued ahead, at most: more would be suggested from too few results."""

MOST_TOGETHER = 16
"""Trials queued ahead of few runners, at most: all of them may be waiting for the end of the turn."""


def results_in_a_turn(study: Study, trials: Sequence[Trial]) -> int:
    """Return how many results came while trials were suggested lately; 0 unless the study is custom.

    Trials of our workers take seconds or more, and each is worth a proposal that knows all results.
    """
    suggested = [trial for trial in trials if trial.generated_by != IMPORTED and trial.known_results][
        -RECENT:
    ]
    if study.kind != StudyKind.CUSTOM or not suggested:
        return 0
    ended = sorted(
        trial.finished_at
        for trial in trials
        if trial.state in TEACHING_STATES and trial.finished_at is not None
    )
    came = [max(0, bisect_right(ended, trial.created_at) - trial.known_results) for trial in suggested]
    runners = study.parallelism
    most = min(MOST_PER_RUNNER * runners, max(runners, MOST_TOGETHER))
    return min(most, round(sum(came) / len(came)))
