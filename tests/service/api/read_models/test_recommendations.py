"""The recommendation of a stored study, through the HTTP door, the client and the command."""

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy.special import ndtr
from sqlalchemy.orm import Session
from typer.testing import CliRunner

from api_schemas.architecture import Architecture
from api_schemas.peft.lora import Lora
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.recommendation import Recommendation, RecommendationQuery
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from api_schemas.trials import ArtifactRecord, TrialReport, TrialState
from paretune.cli import app
from paretune.client import Client
from paretune.errors import RequestRefused
from paretune.study_file import read_study_file, write_study_file
from service.api.read_models.recommendations import recommend
from service.noise import noise_of
from service.settings import settings
from service.storage.models import Study, Trial
from service.studies.canonical_trials import configuration_key
from service.studies.starting_points import starting_parameterization
from service.studies.validation import validate_study
from service.trials import lifecycle
from service.trials.front_certainty import binomial_errors
from tests.conftest import API_KEY, make_study_request
from tests.service.trials.test_lifecycle import COSTS, create, finish, queue, start

ROWS = 1000
REFUSED = {
    "?knee=true&weights=score:1": "weights and knee are different rules",
    "?at_most=score:1&weights=score:1": "are different rules",
    "?at_most=score": "as in 'score:0.8'",
    "?at_most=score:1e999": "too large",
    "?weights=score:0": "more than zero",
    "?weights=score:-1": "not negative",
    "?weights=score:1&weights=score:2": "two weights",
    "?kneee=true": "Did you mean 'knee'?",
    "?at_most=taste:3": "no metric 'taste'",
    "?weights=latency_ms:1": "no objective 'latency_ms'",
    "?at_most=trainable_parameters:700": "The nearest is trial 0: trainable parameters 770",
}
LAYERS = (True,) * 6
LORA_8 = Peft(active_layers=LAYERS, lora=Lora(rank=8))
HEAD_ONLY = Peft(active_layers=LAYERS)
SERIAL: Parameterization = {
    **{f"peft.active_layers.{layer}": layer > 2 for layer in range(6)},
    "peft.serial_adapter.bottleneck_size": 24,
    "peft.parallel_adapter.bottleneck_size": 0,
    "peft.prefix_tuning.length": 0,
}


def study_of(session: Session, *, replicates: int = 1, **changes: object) -> Study:
    request = make_study_request(budget={"trials": 50}, parallelism=9, replicates=replicates, **changes)
    return create(session, request)


def add(
    session: Session,
    study: Study,
    scores: Sequence[float],
    parameters: float,
    *,
    rows: int | None = ROWS,
    artifacts: tuple[ArtifactRecord, ...] = (),
    peft: Peft | None = None,
) -> Trial:
    trial = queue(session, study)
    if peft is not None:
        base = TrialConfiguration.model_validate(study.configuration)
        trial.configuration = canonical(base.model_copy(update={"peft": peft})).model_dump(mode="json")
    for score in scores:
        provenance: dict[str, str | int | float] = {} if rows is None else {"validation_rows": rows}
        metrics = {"score": score, "trainable_parameters": parameters, **COSTS}
        report = TrialReport(
            state=TrialState.SUCCEEDED, metrics=metrics, provenance=provenance, artifacts=artifacts
        )
        finish(session, study, start(session, study, trial), report)
    return trial


def add_front(session: Session, study: Study) -> None:
    for score, parameters in ((0.725, 770), (0.785, 163_784), (0.767, 4_229)):
        add(session, study, [score], parameters)
    session.commit()


def address(study: Study, query: str = "") -> str:
    return f"/v1/studies/{study.id}/recommendation{query}"


def read(http: TestClient, study: Study, query: str = "") -> Recommendation:
    response = http.get(address(study, query))
    assert response.status_code == 200, response.text
    return Recommendation.model_validate_json(response.content)


def expected_error(*scores: float) -> float:
    """The error of the difference of two accuracies of one seed each."""
    rows = binomial_errors(np.array(scores), ROWS)
    known = noise_of(seeds=np.ones(2), errors=np.full(2, np.nan), row_errors=rows)
    assert known is not None
    return float(known.of_mean.sum() ** 0.5)


def test_an_empty_front_is_a_conflict(session: Session, http: TestClient) -> None:
    """409, and when to ask again."""
    study = study_of(session)
    session.commit()
    response = http.get(address(study))
    assert response.status_code == 409
    assert "ask again once a trial has succeeded" in response.json()["detail"]


def test_what_cannot_be_answered_is_said_clearly(session: Session, http: TestClient) -> None:
    """422 for two rules, for what cannot be read, for unknown metrics, and for bounds that nothing keeps."""
    study = study_of(session)
    add_front(session, study)
    for query, told in REFUSED.items():
        response = http.get(address(study, query))
        assert response.status_code == 422
        assert told in response.text


def test_the_knee_comes_with_reason_price_and_chance(session: Session, http: TestClient) -> None:
    """The chance is that of what seeds and rows are expected to do, against the one cheaper trial."""
    study = study_of(session)
    add_front(session, study)
    found = read(http, study)
    assert (found.number, found.rule) == (2, "knee")
    assert "lies farthest beyond the line" in found.reason
    assert [item.number for item in found.lost] == [1, 0]
    chance = float(ndtr((0.767 - 0.725) / expected_error(0.767, 0.725)))
    assert found.front_probability == pytest.approx(chance, abs=1e-3)
    assert found.front_probability_reason == (
        "From the error of the validation texts, and how far seeds move such a score elsewhere."
    )
    assert read(http, study, "?knee=true") == found


def test_the_default_stands_against_a_rival_that_is_not_surely_better(
    session: Session, http: TestClient
) -> None:
    """LoRA of rank 8 is recommended in place of a dearer knee; by weights, it has no say."""
    study = study_of(session)
    add(session, study, [0.80], 74_498, peft=LORA_8)
    for score, parameters in ((0.70, 770), (0.81, 80_000), (0.82, 1_000_000)):
        add(session, study, [score], parameters)
    session.commit()
    found = read(http, study, "?at_most=trainable_parameters:90000")
    assert found.number == 0
    assert found.reason.startswith(
        "The default, trial 0, LoRA of rank 8, stands: trial 2, which the rule chooses"
    )
    compared = found.against_default
    assert compared is not None
    assert (compared.chosen_number, compared.set_aside) == (2, True)
    assert compared.probability_better == pytest.approx(
        float(ndtr(0.01 / expected_error(0.80, 0.81))), abs=1e-3
    )
    assert compared.trainings_to_be_sure is not None
    assert [item.number for item in found.lost] == [2, 1]
    weighed = read(http, study, "?weights=score:1")
    assert (weighed.number, weighed.against_default) == (3, None)
    beyond = read(http, study, "?at_least=score:0.805")
    assert (beyond.number, beyond.against_default) == (3, None)


def test_a_smaller_network_need_not_be_as_good_as_the_default(session: Session, http: TestClient) -> None:
    """Whoever lets the backbone be cut asks for the trade."""
    study = study_of(session)
    add(session, study, [0.80], 74_498, peft=LORA_8)
    add(session, study, [0.70], 770)
    smaller = add(session, study, [0.79], 4_000)
    base = TrialConfiguration.model_validate(study.configuration)
    part = {"architecture": Architecture(keep_layers=4), "peft": Peft(method=PeftMethod.FULL)}
    cut = base.model_copy(update=part)
    smaller.configuration = canonical(cut).model_dump(mode="json")
    session.commit()
    found = read(http, study)
    assert found.number == 2
    assert "it is a smaller network, and cheaper in trainable parameters" in found.reason
    assert found.against_default is not None
    assert not found.against_default.set_aside


def test_a_knee_beats_the_best_head_alone_not_the_first(session: Session, http: TestClient) -> None:
    """At another learning rate the head alone is as good as what would be the knee."""
    study = study_of(session)
    add(session, study, [0.60], 770, peft=HEAD_ONLY)
    add(session, study, [0.75], 772, peft=HEAD_ONLY)
    for score, parameters in ((0.73, 771), (0.80, 1_000_000)):
        add(session, study, [score], parameters)
    session.commit()
    found = read(http, study)
    assert found.number is None
    assert "better in score than the head alone (0.75)" in found.reason
    assert read(http, study, "?at_most=trainable_parameters:771").number == 2


def test_without_a_clear_knee_nothing_is_recommended(
    session: Session, http: TestClient, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer and the command say how to choose; nothing is written."""
    study = study_of(session)
    for score, parameters in ((0.7, 1_000), (0.8, 100_000)):
        add(session, study, [score], parameters)
    session.commit()
    found = read(http, study)
    assert (found.trial_id, found.number, found.study_file) == (None, None, None)
    assert [item.bound for item in found.ranges] == [None, "at_most=trainable_parameters:100000"]
    assert [(item.worst, item.best) for item in found.ranges] == [(0.7, 0.8), (100_000, 1_000)]
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    said = CliRunner().invoke(app, ["recommend", study.id])
    assert said.exit_code == 0
    assert f"Choose: paretune recommend {study.id} --at-most trainable_parameters:100000" in said.output
    refused = CliRunner().invoke(app, ["recommend", study.id, "--export", str(tmp_path / "taken")])
    assert "Nothing was written: no trial is recommended" in str(refused.exception)
    assert not (tmp_path / "taken").exists()


def test_bounds_and_weights_choose_their_own(session: Session, http: TestClient) -> None:
    """Each rule through the query that asks for it."""
    study = study_of(session)
    add_front(session, study)
    assert read(http, study, "?at_most=trainable_parameters:1000").number == 0
    assert read(http, study, "?at_least=score:0.78&at_most=latency_ms:2").number == 1
    assert read(http, study, "?weights=score:9&weights=trainable_parameters:1").number == 1


def test_a_decoder_that_has_lost_many_layers_is_recommended_with_a_word(
    session: Session, http: TestClient
) -> None:
    """The rule chooses as ever; the reason says what is not known of such a network."""
    study = study_of(session)
    study.backbone_shape = {**(study.backbone_shape or {}), "model_type": "llama"}
    trial = add(session, study, [0.8], 1000)
    base = TrialConfiguration.model_validate(study.configuration)
    smaller = base.model_copy(update={"architecture": Architecture(keep_layers=4)})
    trial.configuration = canonical(smaller).model_dump(mode="json")
    session.commit()
    found = read(http, study, "?at_least=score:0.5")
    assert "It keeps 4 of 6 layers of a decoder" in found.reason
    assert "most important of 6 layers" in found.modules


def test_seeds_count_beside_the_split(session: Session, http: TestClient) -> None:
    """The farther the seeds are apart, the less sure is the better trial."""
    chances = []
    for apart in (0.005, 0.02, 0.05):
        study = study_of(session, replicates=2)
        add(session, study, [0.79 - apart, 0.79 + apart], 1000)
        add(session, study, [0.77 - apart, 0.77 + apart], 900)
        session.commit()
        found = read(http, study, "?weights=score:1")
        assert found.front_probability_reason == (
            "From the error of the validation texts, and the spread over seeds."
        )
        chances.append(found.front_probability)
    assert chances == sorted(chances, reverse=True)


def test_an_unknown_noise_is_admitted(session: Session, http: TestClient) -> None:
    """One seed of a time, of a score that is no share, or of a split whose size nobody wrote down."""
    task = {"name": "rotten-tomatoes", "score": "macro_f1"}
    no_share = {"configuration": {"backbone": "all-MiniLM-L6-v2", "task": task}}
    time = {"objectives": [{"metric": "latency_ms", "direction": "minimize"}]}
    for changes, rows, metric in ((time, ROWS, "latency ms"), (no_share, ROWS, "score"), ({}, None, "score")):
        study = study_of(session, **changes)
        add(session, study, [0.7], 1000, rows=rows)
        session.commit()
        found = read(http, study)
        assert found.front_probability is None
        assert f"How far {metric} may be off is not known" in found.front_probability_reason


def test_the_study_file_trains_the_same_configuration(session: Session, tmp_path: Path) -> None:
    """Written, read, admitted: its one trial has the key of the chosen one."""
    study = study_of(session)
    base = TrialConfiguration.model_validate(study.configuration)
    configuration = canonical(patch(base, SERIAL))
    trial = lifecycle.add_trial(
        session, study, parameters=dict(SERIAL), configuration=configuration.model_dump(mode="json"),
        configuration_key=configuration_key(configuration, shape=None), generated_by="test",
        proposal_seconds=0.0,
    )  # fmt: skip
    metrics = {"score": 0.7, "trainable_parameters": 1000.0, **COSTS}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics)
    finish(session, study, start(session, study, trial), report)
    session.commit()
    found = recommend(session, study, RecommendationQuery())
    again = read_study_file(write_study_file(found.study_file, tmp_path / "study.yaml"))
    assert again == found.study_file
    valid = validate_study(again, tenant_id=study.tenant_id)
    point = starting_parameterization(valid.search_space, valid.configuration, again.starting_points[0])
    assert (
        configuration_key(canonical(patch(valid.configuration, point)), shape=None) == trial.configuration_key
    )


def test_the_command_says_it_and_takes_it_home(
    session: Session, server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`paretune recommend STUDY --at-most ... --export DIR` writes the artifacts and a study file."""
    study = study_of(session)
    add_front(session, study)
    weights = Path(settings().artifacts_url) / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    record = ArtifactRecord(
        name=weights.name, path=weights.name, sha256=sha256(b"weights").hexdigest(), size_bytes=7
    )
    add(session, study, [0.775], 5000, artifacts=(record,))
    session.commit()
    monkeypatch.setenv("PARETUNE_URL", server_url)
    monkeypatch.setenv("PARETUNE_API_KEY", API_KEY)
    asked = ["--at-most", "trainable_parameters:5000", "--export", str(tmp_path / "taken")]
    done = CliRunner().invoke(app, ["recommend", study.id, *asked])
    assert done.exit_code == 0, done.output
    assert "Trial 3 has the best score, 0.775, of the 3 of 4 points" in done.output
    assert "Not chosen: Trial 1 has score 0.785 instead of 0.775" in done.output
    assert (tmp_path / "taken" / weights.name).read_bytes() == b"weights"
    assert read_study_file(tmp_path / "taken" / "study.yaml").budget.trials == 1
    with Client(server_url, api_key=API_KEY) as client:
        with pytest.raises(RequestRefused, match="nearest"):
            client.recommendation(study.id, at_most=["trainable_parameters:1"])
        assert client.recommendation(study.id, weights=["score:1"]).number == 1
        reason = client.importance(study.id).reason
    assert reason is not None
    assert reason.startswith("4 results are not weighed yet")
