"""The front as observed and as believed, through the HTTP door."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from api_schemas.pareto import FrontBasis
from paretune.cli import app
from paretune.client import Client
from service.api.read_models.fronts import EXACT, NOT_YET
from service.storage.models import Study, Trial
from service.trials.beliefs import Belief, BelievedTrials, record_belief
from tests.conftest import API_KEY
from tests.service.api.read_models.test_recommendations import HEAD_ONLY, LORA_8, add, study_of
from tests.service.trials.test_ask_and_tell import created


def believe(
    session: Session,
    study: Study,
    scores: dict[str, float],
    *,
    members: list[str],
    default: Trial | None = None,
    lead: float = 0.01,
) -> None:
    """Store that the models believe these scores, with a deviation of 0.01."""
    ids = list(scores)
    trials = BelievedTrials(
        ids=ids,
        means={"score": list(scores.values())},
        deviations={"score": [0.01] * len(ids)},
        front_probabilities=[0.75] * len(ids),
        default_trial_id=None if default is None else default.id,
        lead_deviations=None if default is None else [lead] * len(ids),
        noise=None if default is None else 0.02,
    )
    record_belief(session, study, Belief(study.front_sequence, members, 0.25, trials))
    session.commit()


def front(http: TestClient, study_id: str, query: str = "") -> Any:
    answer = http.get(f"/v1/studies/{study_id}/pareto_front{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_before_there_is_a_model_the_observed_front_is_given(session: Session, http: TestClient) -> None:
    """With the reason, where the believed one was asked for or is what is given otherwise."""
    study = study_of(session)
    session.commit()
    for query in ("", "?by=believed"):
        empty = front(http, study.id, query)
        assert (empty["by"], empty["points"], empty["reason"]) == ("observed", [], NOT_YET)
    add(session, study, [0.7], 1000)
    session.commit()
    assert len(front(http, study.id, "?by=believed")["points"]) == 1
    assert front(http, study.id, "?by=observed")["reason"] is None
    assert http.get(f"/v1/studies/{study.id}/pareto_front?by=hearsay").status_code == 422


def test_what_is_exact_is_observed(http: TestClient) -> None:
    """A custom study of one seed: believing adds nothing, and nobody need ask."""
    study_id = created(http)
    assert (front(http, study_id)["by"], front(http, study_id)["reason"]) == ("observed", None)
    assert front(http, study_id, "?by=believed")["reason"] == EXACT


def test_the_lucky_trial_leaves_the_believed_front(session: Session, http: TestClient) -> None:
    """Both numbers stand at each member, in the order of the front that is asked for."""
    study = study_of(session)
    lucky, solid, cheap = (add(session, study, [score], size) for score, size in
                           ((0.83, 9_000.0), (0.80, 8_000.0), (0.70, 770.0)))  # fmt: skip
    believe(session, study, {lucky.id: 0.77, solid.id: 0.79, cheap.id: 0.71}, members=[solid.id, cheap.id])
    believed = front(http, study.id)
    assert believed["by"] == "believed"
    assert [point["number"] for point in believed["points"]] == [1, 2]
    assert believed["points"][0]["metrics"]["score"] == 0.80
    assert believed["points"][0]["believed"] == {"score": {"mean": 0.79, "standard_deviation": 0.01}}
    assert believed["points"][0]["front_probability"] == 0.75
    assert (believed["hypervolume"], believed["sequence"]) == (0.25, 3)
    observed = front(http, study.id, "?by=observed")
    assert [point["number"] for point in observed["points"]] == [0, 1, 2]
    assert observed["points"][0]["believed"]["score"]["mean"] == 0.77
    add(session, study, [0.9], 700)
    session.commit()
    assert front(http, study.id)["sequence"] == 3
    assert front(http, study.id, "?by=observed")["points"][0]["front_probability"] is None


def test_a_new_belief_is_a_new_version_of_the_study(session: Session, http: TestClient) -> None:
    """Whoever polls with an ETag hears of it."""
    study = study_of(session)
    trial = add(session, study, [0.7], 1000)
    session.commit()
    path = f"/v1/studies/{study.id}/pareto_front"
    tag = http.get(path).headers["ETag"]
    assert http.get(path, headers={"If-None-Match": tag}).status_code == 304
    believe(session, study, {trial.id: 0.69}, members=[trial.id])
    assert http.get(path, headers={"If-None-Match": tag}).json()["by"] == "believed"


def recommended(http: TestClient, study: Study, query: str = "") -> Any:
    answer = http.get(f"/v1/studies/{study.id}/recommendation{query}")
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_what_is_believed_is_recommended(session: Session, http: TestClient) -> None:
    """The rule reads posterior means, the answer shows both numbers and what it rests on."""
    study = study_of(session)
    lucky = add(session, study, [0.83], 9_000)
    solid = add(session, study, [0.80], 8_000)
    believe(session, study, {lucky.id: 0.77, solid.id: 0.79}, members=[solid.id])
    add(session, study, [0.5], 9_500)
    session.commit()
    found = recommended(http, study)
    assert (found["number"], found["by"], found["believed_sequence"]) == (1, "believed", 2)
    assert found["metrics"]["score"] == 0.80
    assert found["believed"]["score"]["mean"] == 0.79
    assert found["front_probability"] == 0.75
    assert found["front_probability_reason"] == "From joint draws of the models after 2 of 3 results."
    assert found["reason"].startswith("Trial 1 (score 0.79")
    assert found["reason"].endswith("Noisy metrics are as the models believe them.")


def test_the_command_shows_both_numbers(
    session: Session, server_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the trial that it recommends."""
    study = study_of(session)
    trial = add(session, study, [0.80], 8_000)
    believe(session, study, {trial.id: 0.79}, members=[trial.id])
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    said = CliRunner().invoke(app, ["recommend", study.id]).output
    assert "measured: score 0.8," in said
    assert "believed: score 0.79 ± 0.01" in said
    with Client(server_url, api_key=API_KEY) as client:
        assert client.pareto_front(study.id).by is FrontBasis.BELIEVED
        assert client.pareto_front(study.id, by=FrontBasis.OBSERVED).by is FrontBasis.OBSERVED


def test_the_default_and_the_head_alone_are_judged_by_belief(session: Session, http: TestClient) -> None:
    """A knee that measured far better is set aside: it is believed to lead the default by half a point."""
    study = study_of(session)
    head = add(session, study, [0.70], 770, peft=HEAD_ONLY)
    default = add(session, study, [0.76], 74_498, peft=LORA_8)
    knee = add(session, study, [0.82], 90_000)
    best = add(session, study, [0.83], 9_000_000)
    scores = {head.id: 0.71, default.id: 0.785, knee.id: 0.79, best.id: 0.80}
    believe(session, study, scores, members=[head.id, knee.id, best.id], default=default)
    found = recommended(http, study)
    assert found["number"] == 1
    compared = found["against_default"]
    assert compared["chosen_number"] == 2
    assert abs(compared["difference"] - 0.005) < 1e-9
    assert compared["standard_error"] == 0.01
    assert compared["trainings_to_be_sure"] > 0
    assert {item["number"] for item in found["lost"]} >= {2, 0}
    sure = recommended(http, study, "?at_least=score:0.795")
    assert (sure["number"], sure["against_default"]) == (3, None)


def test_a_knee_must_be_believed_to_beat_the_head_alone(session: Session, http: TestClient) -> None:
    """Not only to have measured better."""
    study = study_of(session)
    head = add(session, study, [0.70], 770, peft=HEAD_ONLY)
    knee = add(session, study, [0.82], 2_000)
    best = add(session, study, [0.83], 9_000_000)
    cheap = add(session, study, [0.5], 700)
    scores = {head.id: 0.78, knee.id: 0.77, best.id: 0.80, cheap.id: 0.3}
    believe(session, study, scores, members=[knee.id, best.id, cheap.id])
    found = recommended(http, study)
    assert found["number"] is None
    assert "than the head alone (0.78)" in found["reason"]
    assert found["by"] == "believed"


def test_a_former_front_is_that_of_its_time(session: Session, http: TestClient) -> None:
    """Its members and hypervolume; never a belief, for only the newest is kept."""
    study = study_of(session)
    first = add(session, study, [0.7], 1000)
    add(session, study, [0.8], 900)
    session.commit()
    former = front(http, study.id, "?sequence=1")
    assert (former["by"], former["sequence"]) == ("observed", 1)
    assert [point["trial_id"] for point in former["points"]] == [first.id]
    assert front(http, study.id, "?sequence=2") == front(http, study.id, "?by=observed")
    assert http.get(f"/v1/studies/{study.id}/pareto_front?sequence=3").status_code == 404
    refused = http.get(f"/v1/studies/{study.id}/pareto_front?sequence=1&by=believed")
    assert refused.status_code == 422
    assert [item["pointer"] for item in refused.json()["errors"]] == ["query:sequence"]
