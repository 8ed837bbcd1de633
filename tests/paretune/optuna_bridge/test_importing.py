"""Optuna's results in a study, over the real API."""

import math
import time
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from api_schemas.events import EventType
from api_schemas.studies import StudyKind, StudyState
from api_schemas.trials import IMPORTED
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.optuna_bridge.importing import import_study
from paretune.optuna_bridge.storage import open_storage
from tests.paretune.client.studies import custom_study
from tests.paretune.optuna_bridge.past_studies import X, past_study, past_trial


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


Y = FloatDistribution(0.0, 1.0)


def test_later_trials_may_have_a_parameter_more(client: Client) -> None:
    """No result is lost: a switch says which trials have it. Later ones are added to the same study."""
    earlier = [past_trial([1.0, 1.0], x=place / 10) for place in range(4)]
    later = [past_trial([2.0, 1.0], x=place / 10, y=0.5, distributions={"y": Y}) for place in range(3)]
    source = past_study(*earlier, *later)
    done = import_study(client, "past", storage=source._storage)
    assert (done.imported, done.left_out) == (7, ())
    assert any("'y_given'" in note and "3 of 7" in note for note in done.notes)
    given = [trial.parameters["y_given"] for trial in client.trials(done.study.id)]
    assert given == [False] * 4 + [True] * 3
    source.add_trial(past_trial([0.5, 1.0], x=0.9, y=0.25, distributions={"y": Y}))
    source.add_trial(past_trial([0.5, 1.0], x=0.9))
    again = import_study(client, "past", storage=source._storage, into=done.study.id)
    assert (again.imported, again.already_known, again.left_out) == (2, 7, ())


def test_an_import_is_repeated_into_a_study_that_has_ended(client: Client) -> None:
    """All is known, so nothing is asked of it; what is new is told with what to do."""
    source = past_study(past_trial([1.0, 1.0], x=0.25), past_trial([2.0, 1.0], x=0.75))
    made = import_study(client, "past", storage=source._storage)
    client.cancel(made.study.id)
    for into in (None, made.study.id):
        again = import_study(client, "past", storage=source._storage, into=into)
        assert (again.study.id, again.imported, again.already_known) == (made.study.id, 0, 2)
        assert again.study.state is StudyState.CANCELLED
    source.add_trial(past_trial([3.0, 1.0], x=0.5))
    with pytest.raises(BridgeError, match=r"is CANCELLED .*; 1 of 3 are new.*--into"):
        import_study(client, "past", storage=source._storage, into=made.study.id)


def test_nothing_is_proposed_before_the_results_are_there(client: Client) -> None:
    """The study is made paused and goes on by itself; whom its owner paused since stays paused."""
    source = past_study(past_trial([1.0, 1.0], x=0.25))
    made = import_study(client, "past", storage=source._storage)
    types = [event.type for event in client.past_events(made.study.id)]
    assert types.index(EventType.TRIAL_IMPORTED) < types.index(EventType.STUDY_RESUMED)
    assert not [kind for kind in types[: types.index(EventType.STUDY_RESUMED)] if kind == "trial.queued"]
    client.pause(made.study.id)
    assert import_study(client, "past", storage=source._storage).study.state is StudyState.PAUSED


def test_a_result_that_conflicts_holds_up_no_other(client: Client) -> None:
    """It is left out with the server's sentence, wherever it stands among the others."""
    into = client.create_study(custom_study()).id
    first = past_study(past_trial([1.0, 1.0], x=0.5))
    assert import_study(client, "past", storage=first._storage, into=into).imported == 1
    places = [0.1, 0.5, 0.9]
    other = past_study(*(past_trial([7.0, 1.0], x=place) for place in places))
    done = import_study(client, "past", storage=other._storage, into=into)
    assert (done.imported, done.already_known, len(done.left_out)) == (2, 0, 1)
    assert done.left_out[0].startswith("Left out, a result is there: ")


def test_the_same_study_is_found_in_every_time_zone(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A journal tells times in the zone of its reader, and one study would become two."""
    path = str(tmp_path / "journal.log")
    source = past_study(storage=open_storage(path, must_exist=False))
    source.ask({"x": X})
    source.tell(0, [1.0, 1.0])
    made = set()
    for zone in ("UTC", "Asia/Tokyo", "America/New_York"):
        monkeypatch.setenv("TZ", zone)
        time.tzset()
        made.add(import_study(client, "past", storage=path).study.id)
    monkeypatch.undo()
    time.tzset()
    assert len(made) == 1


def test_text_that_is_no_text_is_a_sentence_or_written_out(client: Client) -> None:
    """Half a surrogate pair, as a journal may hold: a name is written out, a choice is refused."""
    half = "half \ud800"
    named = past_trial([1.0, 1.0], distributions={half: X}, **{half: 0.5})
    study = past_study(named, name=half)
    done = import_study(client, half, storage=study._storage)
    assert done.study.display_name == "half \\ud800"
    assert [item.name for item in done.study.search_space.parameters] == ["half_"]
    choices = CategoricalDistribution([half, "whole"])
    chosen = past_trial([1.0, 1.0], distributions={"c": choices}, c="whole")
    with pytest.raises(BridgeError, match=r"'c' cannot be searched here: .*half a surrogate pair"):
        import_study(client, "past", storage=past_study(chosen)._storage)
