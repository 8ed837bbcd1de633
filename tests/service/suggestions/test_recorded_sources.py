"""Which studies learn from recorded trials, and what they are told."""

import pytest
from sqlalchemy.orm import Session

from service.optimization.problem import Source
from service.storage.models import Study
from service.suggestions.former_studies import sources_of
from tests.conftest import make_study_request
from tests.service.suggestions.test_former_studies import after, former
from tests.service.trials.test_lifecycle import create

AUTO = {"search_space": {"preset": "auto"}, "budget": {"trials": 20}}


def study_of(session: Session, **changes: object) -> Study:
    """Return a new study of `auto`."""
    return create(session, make_study_request(**(AUTO | changes)))


def test_auto_learns_from_every_recorded_task(session: Session) -> None:
    """Each is a former study by itself: a task may be like one of them and unlike the others."""
    found = sources_of(session, study_of(session))
    assert len(found) == 4
    assert {source.study_id.split(":")[0] for source in found} == {"recorded"}
    assert len({len(source.observations) for source in found}) == 1
    assert all(0 < (one.metrics or {})["score"] < 1 for source in found for one in source.observations)


def test_what_is_recorded_lies_in_the_space(session: Session) -> None:
    """Every point has a value for each parameter that is active there."""
    study = study_of(session)
    space = create(session, make_study_request(**AUTO)).search_space
    names = {parameter["name"] for parameter in space["parameters"]}
    (first, *_) = sources_of(session, study)
    assert all(point.parameterization.keys() <= names for point in first.observations)


@pytest.mark.parametrize(
    "changes",
    [
        {"proposals": {"default_starting_points": False}},
        {"search_space": {"preset": "lora"}},
        {"objectives": [{"metric": "latency_ms", "direction": "minimize"}]},
    ],
    ids=["no-defaults", "another-space", "no-score"],
)
def test_other_studies_learn_nothing_unasked(session: Session, changes: dict[str, object]) -> None:
    """They say themselves what they start from, or the trials say nothing of them."""
    assert sources_of(session, study_of(session, **changes)) == ()


def test_a_warm_start_takes_the_place_of_recorded_trials(session: Session) -> None:
    """What was learnt on one's own tasks says more."""
    own = former(session, (1, 0.6, 100.0), (4, 0.7, 400.0))
    found: tuple[Source, ...] = sources_of(session, after(session, own))
    assert [source.study_id for source in found] == [own.id]
