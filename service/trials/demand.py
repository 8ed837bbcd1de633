"""How many results come during one turn of the study worker: the queue must be as long. Pure."""

from collections.abc import Sequence

from api_schemas.studies import StudyKind
from api_schemas.trials import IMPORTED
from service.storage.models import Study, Trial

RECENT = 10
"""The last trials, from which the rate of results and the time of a proposal are estimated."""

ROUND_TRIP_SECONDS = 0.2
"""Of a turn without its proposals: from a result to the stored suggestions."""

MOST_PER_RUNNER = 4
"""Trials queued ahead, at most: more would be suggested from too few results."""

LONGEST_SECONDS = 1.0
"""Of a turn, for what is queued ahead beyond one trial per runner: all runners may be waiting for its end."""


def results_in_a_turn(study: Study, trials: Sequence[Trial]) -> int:
    """Return how many results came during one turn lately; 0 unless the study is custom.

    Trials of our workers take seconds or more, and each is worth a proposal that knows all results.
    """
    own = [trial for trial in trials if trial.generated_by != IMPORTED]
    ended = sorted(trial.finished_at for trial in own if trial.finished_at is not None)[-RECENT:]
    if study.kind != StudyKind.CUSTOM or len(ended) < 2:
        return 0
    passed = max((ended[-1] - ended[0]).total_seconds(), 1e-3)
    proposed = [trial.proposal_seconds for trial in own[-RECENT:]]
    each = sum(proposed) / len(proposed)
    turn = ROUND_TRIP_SECONDS + study.parallelism * each
    most = min(MOST_PER_RUNNER * study.parallelism, max(study.parallelism, LONGEST_SECONDS / max(each, 1e-3)))
    return round(min(most, turn * (len(ended) - 1) / passed))
