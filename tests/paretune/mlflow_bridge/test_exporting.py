"""A study in a tracking store of MLflow: a real one, in SQLite."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from api_schemas.trials import ArtifactRecord, Measurement, TrialReport, TrialState
from paretune.client import Client
from paretune.errors import BridgeError
from paretune.mlflow_bridge.exporting import MlflowExport, export_study
from service.settings import settings
from service.trials import leases
from tests.conftest import API_KEY
from tests.service.trials.test_leases import stored_study

# MLflow's own tables use a loader that SQLAlchemy 2.1 has deprecated.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy is deprecated")


@pytest.fixture(scope="module")
def store_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('mlflow') / 'mlflow.db'}"


@pytest.fixture
def client(server_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    # Without a server, MLflow puts files under the working directory.
    monkeypatch.chdir(tmp_path)
    with Client(server_url, api_key=API_KEY) as opened:
        yield opened


def run_one(score: float, parameters: float, *, weights: bytes | None = None) -> str:
    """Run the next trial as a worker would, with a curve of two steps; give its id."""
    claimed = leases.claim("w")
    assert claimed is not None
    records = ()
    if weights is not None:
        path = Path(settings().artifacts_url) / str(claimed.artifacts_path) / "weights.safetensors"
        path.parent.mkdir(parents=True)
        path.write_bytes(weights)
        records = (
            ArtifactRecord(
                name=path.name, path=f"{claimed.artifacts_path}/{path.name}",
                sha256=hashlib.sha256(weights).hexdigest(), size_bytes=len(weights),
            ),
        )  # fmt: skip
    for step in (1, 2):
        measurement = Measurement(step=step, metrics={"score": score * step / 2})
        leases.record_measurement(claimed.trial_id, claimed.attempt, measurement)
    metrics = {"score": score, "trainable_parameters": parameters}
    report = TrialReport(state=TrialState.SUCCEEDED, metrics=metrics, artifacts=records)
    leases.complete(claimed.trial_id, claimed.attempt, report)
    return claimed.trial_id


def counts(done: MlflowExport) -> tuple[int, int, int, int]:
    return done.created, done.updated, done.unchanged, done.waiting


def test_an_experiment_that_is_not_the_studys_is_refused(client: Client, store_url: str) -> None:
    """Of somebody else, deleted, or with a name that MLflow does not take."""
    store = MlflowClient(tracking_uri=store_url)
    study_id = stored_study(trials=1)
    gone = store.create_experiment("gone")
    store.create_experiment("taken")
    store.delete_experiment(gone)
    for name, why in (("taken", "is not of std_"), ("gone", "was deleted"), ("n" * 501, "this one 501")):
        with pytest.raises(BridgeError, match=why):
            export_study(client, study_id, tracking_uri=store_url, experiment=name)


def test_a_store_that_is_none_is_refused(client: Client) -> None:
    """In one line of MLflow's."""
    with pytest.raises(BridgeError, match="MLflow refuses"):
        export_study(client, stored_study(trials=1), tracking_uri="nonsense://x")


def test_runs_follow_their_trials(client: Client, store_url: str) -> None:
    """One run for each trial that has begun; again, what has changed is written, and nothing twice."""
    study_id = stored_study(trials=3)
    first = run_one(0.7, 1000.0, weights=b"weights")
    claimed = leases.claim("w")
    assert claimed is not None

    def export() -> MlflowExport:
        return export_study(client, study_id, tracking_uri=store_url, with_artifacts=True)

    done = export()
    assert counts(done) == (2, 0, 0, 1)
    assert counts(export()) == (0, 0, 2, 1)
    store = MlflowClient(tracking_uri=store_url)
    experiment = store.get_experiment_by_name(done.experiment)
    assert experiment is not None

    def run_of(trial_id: str):  # type: ignore[no-untyped-def]
        wanted = f"tags.`paretune.trial_id` = '{trial_id}'"
        (run,) = store.search_runs([experiment.experiment_id], filter_string=wanted)
        return run

    run = run_of(first)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["score"] == 0.7
    assert run.data.tags["paretune.on_front"] == "true"
    assert "weights.safetensors" in {file.path for file in store.list_artifacts(run.info.run_id)}
    assert run_of(claimed.trial_id).info.status == "RUNNING"

    better = TrialReport(state=TrialState.SUCCEEDED, metrics={"score": 0.9, "trainable_parameters": 10.0})
    leases.complete(claimed.trial_id, claimed.attempt, better)
    assert counts(export()) == (0, 2, 0, 1)
    assert run_of(first).data.tags["paretune.on_front"] == "false"
    assert run_of(claimed.trial_id).info.status == "FINISHED"
    history = store.get_metric_history(run.info.run_id, "curve/score")
    assert [(item.step, item.value) for item in history] == [(1, 0.35), (2, 0.7)]
    assert len(store.get_metric_history(run.info.run_id, "score")) == 1
