"""Layers by modules of trials, through the HTTP door."""

from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft, PeftMethod
from tests.service.api.read_models.test_recommendations import HEAD_ONLY, LORA_8, add, study_of
from tests.service.trials.test_ask_and_tell import created

DORA = Peft(
    method=PeftMethod.DORA,
    active_layers=(False,) * 4 + (True,) * 2,
    library=LibrarySettings(rank=4, query=False, value=True),
)


def maps(http: TestClient, study_id: str, query: str = "") -> Any:
    answer = http.get(f"/v1/studies/{study_id}/module_maps{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_front_has_a_matrix_for_each_member(session: Session, http: TestClient) -> None:
    """A column for each projection that some member changes; the head alone has none of them."""
    study = study_of(session)
    add(session, study, [0.7], 770, peft=HEAD_ONLY)
    add(session, study, [0.75], 10_000, peft=DORA)
    add(session, study, [0.76], 74_498, peft=LORA_8)
    worse = add(session, study, [0.6], 80_000)
    session.commit()
    found = maps(http, study.id)
    assert (found["layers"], found["numbers"]) == (6, [0, 1, 2])
    assert worse.id not in found["trial_ids"]
    assert found["modules"] == ["DoRA value", "LoRA query", "LoRA value"]
    head, dora, lora = found["sizes"]
    assert head == [[0, 0, 0]] * 6
    assert dora == [[0, 0, 0]] * 4 + [[4, 0, 0]] * 2
    assert lora == [[0, 8, 8]] * 6


def test_one_trial_has_its_own_modules_alone(session: Session, http: TestClient) -> None:
    """Whether or not it is on the front; a trial of another study is not found."""
    study = study_of(session)
    trial = add(session, study, [0.76], 74_498, peft=LORA_8)
    session.commit()
    found = maps(http, study.id, f"?trial_id={trial.id}")
    assert (found["numbers"], found["modules"]) == ([0], ["LoRA query", "LoRA value"])
    assert http.get(f"/v1/studies/{study.id}/module_maps?trial_id=trl_none").status_code == 404


def test_a_custom_study_has_no_modules(http: TestClient) -> None:
    """Its trials have parameters, of which nobody here knows what they mean."""
    found = maps(http, created(http))
    assert (found["layers"], found["modules"], found["sizes"]) == (0, [], [])
