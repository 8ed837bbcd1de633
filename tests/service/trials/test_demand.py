"""How long a queue has to last: by the rate of results and the time that proposing takes."""

from datetime import UTC, datetime, timedelta

import pytest

from api_schemas.trials import IMPORTED
from service.storage.models import Study, Trial
from service.trials.demand import results_in_a_turn

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def after(
    every_seconds: float, *, proposal_seconds: float, runners: int, kind: str = "custom", results: int = 20
) -> int:
    study = Study(kind=kind, parallelism=runners)
    trials = [
        Trial(
            generated_by="random",
            finished_at=NOW + timedelta(seconds=every_seconds * number),
            proposal_seconds=proposal_seconds,
        )
        for number in range(results)
    ]
    past = Trial(generated_by=IMPORTED, finished_at=NOW, proposal_seconds=0.0)
    return results_in_a_turn(study, [past, *trials])


@pytest.mark.parametrize(
    ("every_seconds", "proposal_seconds", "runners", "expected"),
    [
        (60.0, 1.0, 1, 0),  # slow trials: the one ahead that was asked for
        (1.0, 0.5, 1, 1),
        (0.25, 0.2, 4, 4),  # four results while four are proposed
        (0.05, 0.0, 4, 4),  # no model: what comes during a round trip
        (0.001, 0.02, 4, 16),  # faster than any model: four for each runner
        (0.001, 0.1, 4, 10),  # as many as are proposed in a second, or all runners would wait longer
        (0.001, 1.0, 4, 4),  # and where proposing is slow, one for each runner
    ],
)
def test_the_queue_grows_with_the_rate_of_results(
    every_seconds: float, proposal_seconds: float, runners: int, expected: int
) -> None:
    """And with the time that a proposal takes."""
    assert after(every_seconds, proposal_seconds=proposal_seconds, runners=runners) == expected


def test_a_study_of_ours_is_proposed_for_with_all_results() -> None:
    """However fast they come."""
    assert after(0.001, proposal_seconds=1.0, runners=4, kind="peft") == 0


@pytest.mark.parametrize("results", [0, 1])
def test_without_results_nothing_is_known_of_their_rate(results: int) -> None:
    """Imported ones came at once, and tell nothing of it."""
    assert after(0.001, proposal_seconds=1.0, runners=4, results=results) == 0
