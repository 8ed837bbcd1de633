"""What the optimiser hears of the noise of trials."""

import pytest
from sqlalchemy.orm import Session

from service.storage import queries
from service.suggestions.observations import observations_of
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import create, finish, queue, start, succeeded


def test_seeds_and_the_error_of_the_rows_are_told(session: Session) -> None:
    """A worker that measured no error of the rows leaves it unknown."""
    study = create(session, make_study_request(replicates=2))
    for error in ({"score_standard_error": 0.02}, {}):
        trial = queue(session, study)
        for score in (0.6, 0.8):
            report = succeeded(score)
            told = report.model_copy(update={"metrics": {**report.metrics, **error}})
            finish(session, study, start(session, study, trial), told)
    known, unknown = observations_of(session, study, queries.list_trials(session, study.id))
    assert (known.seeds, unknown.seeds) == (2, 2)
    assert known.row_errors == {"score": pytest.approx(0.02)}
    assert unknown.row_errors is None
