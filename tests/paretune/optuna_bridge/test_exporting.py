"""A study in an Optuna storage, and back."""

from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.samplers import TPESampler
from optuna.storages import InMemoryStorage

from api_schemas.ask_and_tell import ImportedObservation
from api_schemas.studies import StudyCreate
from api_schemas.trials import TrialRead
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.optuna_bridge.exporting import _frozen_trial, export_study
from paretune.optuna_bridge.importing import import_study
from paretune.optuna_bridge.spaces import distribution_of
from tests.paretune.client.studies import custom_study, queued_study
from tests.paretune.optuna_bridge.past_studies import past_study
from tests.paretune.trials import study as shown_study
from tests.paretune.trials import trial as shown_trial

EVERYTHING = custom_study(
    search_space={
        "parameters": [
            {"type": "categorical", "name": "kind", "choices": ["adam", "sgd"]},
            {"type": "float", "name": "rate", "low": 1e-4, "high": 1.0, "log": True},
            {"type": "float", "name": "momentum", "low": 0, "high": 1,
             "when": {"parameter": "kind", "in": ["sgd"]}},
            {"type": "ordinal", "name": "rank", "choices": [0, 4, 8]},
            {"type": "bool", "name": "bias"},
            {"type": "int", "name": "depth", "low": 1, "high": 9},
        ]
    },
    objectives=[
        {"metric": "cost", "direction": "minimize", "log": True, "reference": 100.0},
        {"metric": "gain", "direction": "maximize", "reference": 0.0},
    ],
    constraints=[{"metric": "heat", "op": "<=", "bound": 0.7}, {"metric": "gain", "op": ">=", "bound": 0.1}],
)  # fmt: skip


def observations() -> list[ImportedObservation]:
    """Twelve results: some hot, some without gain, two equal points of the front, one infeasible."""
    found = []
    for number in range(12):
        kind = ("adam", "sgd")[number % 2]
        parameters = {"kind": kind, "rate": 10 ** (-number / 4), "rank": (0, 4, 8)[number % 3],
                      "bias": number % 4 == 0, "depth": 1 + number % 9}  # fmt: skip
        if kind == "sgd":
            parameters["momentum"] = number / 12
        metrics = {
            "cost": 1.0 + number // 2,
            "gain": 0.05 + (number % 5) / 10,
            "heat": number / 11,
            "note": 1.5,
        }
        result = {"infeasible": "it broke"} if number == 5 else {"metrics": metrics}
        found.append(ImportedObservation.model_validate({"parameters": parameters, **result}))
    return found


def said(trials: Iterator[TrialRead]) -> list[tuple[object, ...]]:
    return [(item.state, item.state_reason, item.parameters, item.metrics, item.on_front) for item in trials]


@pytest.mark.parametrize(("name", "why"), [("n" * 513, "this one 513"), ("past", "no export of std_")])
def test_a_name_that_cannot_be_is_refused(client: Client, name: str, why: str) -> None:
    """Too long for Optuna's databases, or taken by a study of somebody else."""
    storage = past_study()._storage
    with pytest.raises(BridgeError, match=why):
        export_study(client, client.create_study(custom_study()).id, storage=storage, name=name)


def test_a_study_comes_back_as_it_was(client: Client, tmp_path: Path) -> None:
    """Into a study like it, and into a new one: states, reasons, parameters, metrics, front."""
    study = client.create_study(EVERYTHING)
    client.import_observations(study.id, observations())
    url = f"sqlite:///{tmp_path / 'out.db'}"
    done = export_study(client, study.id, storage=url)
    assert (done.name, done.added, done.already_there, done.not_ended) == (study.id, 12, 0, 0)
    assert export_study(client, study.id, storage=url).already_there == 12
    before = said(client.trials(study.id))
    like_it = client.create_study(EVERYTHING).id
    for into in (like_it, None):
        back = import_study(client, study.id, storage=url, into=into)
        assert (back.imported, back.repeats, back.left_out, back.notes) == (12, 0, (), ())
        assert said(client.trials(back.study.id)) == before
    asked = StudyCreate.model_fields.keys() & {"search_space", "objectives", "constraints"}
    assert all(getattr(back.study, name) == getattr(client.get_study(study.id), name) for name in asked)


def test_a_sampler_of_optuna_goes_on(client: Client, tmp_path: Path) -> None:
    """Its best trials are the front, it asks within the space, and what it finds is imported."""
    study = client.create_study(EVERYTHING)
    client.import_observations(study.id, observations())
    url = str(tmp_path / "journal.log")
    export_study(client, study.id, storage=url, name="mine")
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(url))
    sampler = TPESampler(seed=0, n_startup_trials=5)
    source = optuna.load_study(study_name="mine", storage=storage, sampler=sampler)
    front = {point.trial_id for point in client.pareto_front(study.id).points}
    assert {item.user_attrs["paretune:trial_id"] for item in source.best_trials} == front
    assert len(front) > 1
    distributions = {
        item.name: distribution_of(item) for item in client.get_study(study.id).search_space.parameters
    }
    asked = source.ask(distributions)
    asked.set_user_attr("heat", 0.5)
    source.tell(asked, [0.5, 0.9])
    done = import_study(client, "mine", storage=url, into=study.id)
    assert (done.imported, done.already_known) == (1, 12)
    assert client.pareto_front(study.id).points[0].metrics["gain"] == 0.9


def test_trials_that_have_not_ended_come_later(client: Client) -> None:
    """Another export adds them, with the curve of a single objective."""
    objectives = [{"metric": "cost", "direction": "minimize", "reference": 2.0}]
    study_id = queued_study(trials=3, objectives=objectives)
    study, storage = client.study(study_id), InMemoryStorage()
    first, second, _ = study.ask(3)
    for step in (1, 2):
        study.report(first, step=step, cost=1.0 / step)
    study.tell(first, cost=0.25)
    assert export_study(client, study_id, storage=storage, name="mine").not_ended == 2
    study.tell_infeasible(second, "too hot")
    again = export_study(client, study_id, storage=storage, name="mine")
    assert (again.added, again.already_there, again.not_ended) == (1, 1, 1)
    done, broken = optuna.load_study(study_name="mine", storage=storage).trials
    assert (done.value, done.intermediate_values) == (0.25, {1: 1.0, 2: 0.5})
    assert (broken.state.name, broken.constraints) == ("PRUNED", {"paretune: infeasible": 1.0})


@pytest.mark.parametrize(
    ("state", "expected"), [("STOPPED_EARLY", "PRUNED"), ("FAILED", "FAIL"), ("CANCELLED", "FAIL")]
)
def test_what_has_no_result_has_none_there(state: str, expected: str) -> None:
    """A score of half a training is no value; files are named by their hashes."""
    record = {"name": "head.safetensors", "path": "a/b", "sha256": "0" * 64, "size_bytes": 1}
    trial = shown_trial(
        3, score=0.5, parameters=10, state=state, state_reason="why", artifacts=[record],
        measurements=[{"step": 1, "metrics": {"score": 0.5}}],
    )  # fmt: skip
    frozen = _frozen_trial(shown_study(), trial, {})
    assert (frozen.state.name, frozen.values, frozen.intermediate_values) == (expected, None, {})
    assert frozen.user_attrs["paretune:artifacts"] == {"head.safetensors": "0" * 64}
    assert frozen.user_attrs["paretune:measurements"] == [{"step": 1, "metrics": {"score": 0.5}}]
    assert frozen.user_attrs["paretune:state_reason"] == "why"
    assert "trainable_parameters" not in frozen.user_attrs
