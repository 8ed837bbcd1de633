"""What trials measured, as arrays."""

import numpy as np
from sqlalchemy.orm import Session

from service.trials.results import result_columns, results_of
from tests.service.api.read_models.test_recommendations import add, study_of


def test_a_study_without_results_has_empty_columns(session: Session) -> None:
    """One for each metric that is asked for."""
    columns = result_columns(session, study_of(session).id, ["score", "latency_ms"])
    assert (list(columns.trial_ids), list(columns.numbers), len(columns.has_one_seed)) == ([], [], 0)
    assert [len(columns.values[name]) for name in ("score", "latency_ms")] == [0, 0]


def test_columns_are_what_was_measured(session: Session) -> None:
    """By number; what a trial does not have is not a number."""
    study = study_of(session, replicates=2)
    trials = [add(session, study, scores, 1e15 + 2) for scores in ([0.1, 0.3], [0.7, 0.7])]
    session.flush()
    names = ["score", "trainable_parameters", "unheard_of"]
    columns = result_columns(session, study.id, names)
    assert [*columns.trial_ids] == [trial.id for trial in trials]
    assert not columns.has_one_seed.any()
    for row, result in enumerate(results_of(session, study.id)):
        for name in names[:2]:
            assert columns.values[name][row] == result.metrics[name]
            assert columns.standard_errors[name][row] == result.metric_standard_errors[name]
    assert np.isnan([*columns.values["unheard_of"], *columns.standard_errors["unheard_of"]]).all()


def test_some_of_the_trials_can_be_kept(session: Session) -> None:
    """In their order, in every column."""
    study = study_of(session)
    for score in (0.5, 0.6, 0.7):
        add(session, study, [score], 1000)
    session.flush()
    columns = result_columns(session, study.id, ["score"])
    kept = columns.where(columns.values["score"] != 0.6)
    assert list(kept.numbers) == [0, 2]
    assert kept.values["score"].tolist() == [0.5, 0.7]
    assert kept.has_one_seed.all()
    assert np.isnan(kept.standard_errors["score"]).all()
