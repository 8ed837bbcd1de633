"""Optuna's results in a study, over the real API."""

import math
from pathlib import Path

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from api_schemas.studies import StudyKind, StudyState
from api_schemas.trials import IMPORTED
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.optuna_bridge.importing import import_study
from tests.paretune.client.studies import custom_study
from tests.paretune.optuna_bridge.past_studies import past_study, past_trial


def stored(tmp_path: Path, *trials: FrozenTrial, **changes: object) -> str:
    """Keep a study in a SQLite file; give the URL of the file."""
    url = f"sqlite:///{tmp_path / 'past.db'}"
    past_study(*trials, storage=url, **changes)  # type: ignore[arg-type]
    return url


def test_a_study_without_results_is_refused(client: Client, tmp_path: Path) -> None:
    """What stands in the way is counted, and no study is made."""
    url = stored(tmp_path, past_trial(None, state=TrialState.PRUNED, x=0.5))
    # Optuna makes a trial FAIL that yields what is not a number.
    source = optuna.load_study(study_name="past", storage=url)
    source.optimize(lambda trial: (trial.suggest_float("x", 0, 1), math.nan), n_trials=1)
    with pytest.raises(BridgeError, match=r"None of the 2 trials of 'past' has a result: 1 PRUNED, 1 FAIL"):
        import_study(client, "past", storage=url)
    with pytest.raises(BridgeError, match=r"has no study 'pats'. It has 'past'"):
        import_study(client, "pats", storage=url)
    assert list(client.studies()) == []


def test_another_search_space_is_refused(client: Client) -> None:
    """If no trial fits; trials that do not are left out, and counted with an example."""
    into = client.create_study(custom_study()).id
    other = past_study(past_trial([1.0, 1.0], kind="sgd", x=0.5))
    with pytest.raises(BridgeError, match=r"outside the search space: 1 .*no parameter 'kind'"):
        import_study(client, "past", storage=other._storage, into=into)
    other.add_trial(past_trial([1.0, 1.0], x=0.5))
    done = import_study(client, "past", storage=other._storage, into=into)
    assert done.imported == 1
    assert done.left_out == (
        "Left out, outside the search space: 1 (trial 0: the search space has no parameter 'kind').",
    )


def test_a_new_study_is_made_of_what_was_searched(client: Client, tmp_path: Path) -> None:
    """Space with a condition, objectives, constraints; twice makes one study, and nothing twice."""
    url = stored(
        tmp_path,
        past_trial([3.0, 1.0], kind="adam", constraints={"0": -1.0}, attributes={"seconds": 7}),
        past_trial([2.0, 1.0], kind="sgd", x=0.5, constraints={"0": -1.0}, curve={0: 9.0}),
        past_trial([4.0, 1.0], kind="sgd", x=0.5, constraints={"0": -1.0}),
        past_trial([1.0, 1.0], kind="sgd", x=0.25, constraints={"0": 2.0}, attributes={"note": "hot"}),
        past_trial([1.0, math.inf], kind="sgd", x=0.75, constraints={"0": -1.0}),
        past_trial(None, state=TrialState.FAIL, kind="adam"),
    )
    steps: list[tuple[int, int]] = []
    done = import_study(client, "past", storage=url, budget=7, on_progress=lambda *step: steps.append(step))
    assert (done.imported, done.already_known, done.repeats) == (4, 0, 1)
    assert (done.study.kind, done.study.state) == (StudyKind.CUSTOM, StudyState.ACTIVE)
    assert (done.study.budget.trials, done.study.trials.imported) == (7, 4)
    assert [item.metric for item in done.study.objectives] == ["cost", "gain"]
    assert done.study.search_space.parameters[1].when is not None
    assert done.left_out == ("Left out, failed, which says nothing about the parameters: 1 (trial 5).",)
    assert done.notes == (
        "'x' is searched where 'kind' is one of sgd.",
        "Intermediate values are not taken: an observation is a result (1 have some).",
        "User attributes that are no metrics are not taken: 'note'.",
    )
    trials = list(client.trials(done.study.id))
    assert [(trial.state.value, trial.metrics.get("cost"), trial.on_front) for trial in trials] == [
        ("SUCCEEDED", 3.0, True),
        ("SUCCEEDED", 3.0, True),
        ("SUCCEEDED", 1.0, False),
        ("INFEASIBLE", None, False),
    ]
    assert trials[0].metrics["seconds"] == 7
    assert {trial.generated_by for trial in trials} == {IMPORTED}
    assert steps == [(4, 4)]
    again = import_study(client, "past", storage=url, budget=7)
    assert (again.study.id, again.imported, again.already_known) == (done.study.id, 0, 4)
    assert len(list(client.studies())) == 1


def test_later_trials_are_added(client: Client) -> None:
    """Into a running study, without names by position; a deleted one is made again."""
    source = past_study(past_trial([1.0, 1.0], x=0.25), past_trial([2.0, 1.0], x=0.75), metrics=None)
    made = import_study(client, "past", storage=source._storage)
    assert [item.metric for item in made.study.objectives] == ["value_0", "value_1"]
    source.add_trial(past_trial([0.5, 1.0], x=0.5))
    into = client.create_study(custom_study()).id
    for new in (3, 0):
        done = import_study(client, "past", storage=source._storage, into=into)
        assert (done.imported, done.study.trials.imported) == (new, 3)
    client.cancel(made.study.id)
    client.delete(made.study.id)
    assert import_study(client, "past", storage=source._storage).study.id != made.study.id


def test_a_sampler_of_optuna_is_read(client: Client) -> None:
    """A study as people have it: define by run, integers that decide, a switch, a logarithm."""

    def objective(trial: optuna.Trial) -> float:
        layers = trial.suggest_int("n_layers", 1, 3)
        widths = [trial.suggest_int(f"n_units_l{place}", 4, 128, log=True) for place in range(layers)]
        rate = trial.suggest_float("lr", 1e-5, 1e-1, log=True)
        trial.suggest_categorical("bias", [True, False])
        trial.suggest_float("dropout", 0.0, 0.5, step=0.1)
        return sum(widths) * rate

    source = optuna.create_study(study_name="past", sampler=optuna.samplers.RandomSampler(seed=0))
    source.optimize(objective, n_trials=24)
    done = import_study(client, "past", storage=source._storage)
    assert (done.imported, done.left_out) == (24, ())
    conditions = {item.name: item.when for item in done.study.search_space.parameters if item.when}
    assert {name: when.values for name, when in conditions.items()} == {
        "n_units_l1": (2, 3),
        "n_units_l2": (3,),
    }
    best = client.pareto_front(done.study.id).points
    assert [point.metrics["value"] for point in best] == [source.best_value]
