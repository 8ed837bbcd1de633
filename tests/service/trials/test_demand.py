"""How long a queue has to last: by the results that came while trials were suggested."""

from datetime import UTC, datetime, timedelta

import pytest

from api_schemas.trials import IMPORTED, TrialState
from service.storage.models import Study, Trial
from service.trials.demand import RECENT, results_in_a_turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def minute(number: float) -> datetime:
    return NOW + timedelta(minutes=number)


def result(ended: float, **columns: object) -> Trial:
    return Trial(
        generated_by=IMPORTED,
        state=TrialState.SUCCEEDED,
        finished_at=minute(ended),
        known_results=0,
        **columns,
    )


def after(came: list[int], *, runners: int = 1, kind: str = "custom", pace: float = 1.0) -> int:
    """What is expected after turns from ten results more each, while so many others came."""
    trials, known = [], 0
    for turn, during in enumerate(came):
        start = 100.0 * pace * turn
        trials += [result(start + 0.1 * pace * number) for number in range(10 + during)]
        trials.append(
            Trial(
                generated_by="logehvi",
                state=TrialState.QUEUED,
                created_at=minute(start + 99 * pace),
                known_results=known + 10,
            )
        )
        known += 10 + during
    return results_in_a_turn(Study(kind=kind, parallelism=runners), trials)


@pytest.mark.parametrize(
    ("came", "runners", "expected"),
    [
        ([0] * 10, 1, 0),  # slow trials: the one ahead that was asked for
        ([0] * 9 + [1], 1, 0),  # one result that came in between is no rate
        ([1] * 10, 1, 1),
        ([9] * RECENT + [3] * RECENT, 2, 3),  # the last ones count
        ([50] * 10, 1, 4),  # faster than any model: four for each runner
        ([500] * 10, 8, 16),  # or sixteen
        ([500] * 10, 64, 64),  # or one for each runner
    ],
)
def test_the_queue_grows_with_the_results_that_come_during_a_turn(
    came: list[int], runners: int, expected: int
) -> None:
    """On the average of the last suggestions."""
    assert after(came, runners=runners) == expected


def test_how_long_anything_took_does_not_matter() -> None:
    """Or the same results in the same order would not give the same queue."""
    assert after([2] * 10, pace=1e-6) == after([2] * 10, pace=1e3) == 2


def test_a_study_of_ours_is_proposed_for_with_all_results() -> None:
    """However fast they come."""
    assert after([9] * 10, kind="peft") == 0


def test_what_was_suggested_from_no_result_tells_nothing() -> None:
    """Nor does what taught nothing: failed trials are no results."""
    designed = Trial(
        generated_by="initial_design", state=TrialState.QUEUED, created_at=minute(50), known_results=0
    )
    study = Study(kind="custom", parallelism=1)
    assert results_in_a_turn(study, [*map(result, range(9)), designed]) == 0
    assert results_in_a_turn(study, []) == 0
