"""A trial is taken home whole or not at all, and nothing that lay there is touched."""

import hashlib
from pathlib import Path

import pytest

from api_schemas.trials import ArtifactRecord
from service.settings import settings
from service.trials import leases
from tests.paretune.client.studies import queued_study
from tests.paretune.mcp_server.conftest import Call
from tests.service.trials.test_leases import REPORT, stored_study

WEIGHTS = b"weights"
HASH = hashlib.sha256(WEIGHTS).hexdigest()


def study_with_weights(*, recorded_hash: str = HASH) -> str:
    study_id = stored_study(trials=1)
    claimed = leases.claim("w")
    assert claimed is not None
    assert claimed.artifacts_path is not None
    file = Path(settings().artifacts_url) / claimed.artifacts_path / "weights.safetensors"
    file.parent.mkdir(parents=True)
    file.write_bytes(WEIGHTS)
    path = str(file.relative_to(settings().artifacts_url))
    record = ArtifactRecord(name=file.name, path=path, sha256=recorded_hash, size_bytes=len(WEIGHTS))
    leases.complete(claimed.trial_id, 1, REPORT.model_copy(update={"artifacts": (record,)}))
    return study_id


def test_a_folder_with_something_in_it_is_refused(call: Call, tmp_path: Path) -> None:
    """A model may err about what lies where; a file in the place of the folder is as bad."""
    study_id = study_with_weights()
    (tmp_path / "README.md").write_text("mine")
    for folder, said in (
        (tmp_path, "is not empty"),
        (tmp_path / "README.md", "is not empty"),
        (tmp_path / "README.md" / "x", "cannot be written"),
    ):
        worked, text = call("export_trial", study_id=study_id, number=0, folder=str(folder))
        assert not worked
        assert said in text
    assert (tmp_path / "README.md").read_text() == "mine"
    worked, text = call("export_trial", study_id=study_id, number=9)
    assert not worked
    assert "no trial 9" in text


def test_a_damaged_download_leaves_no_folder(call: Call, tmp_path: Path) -> None:
    """So that the next try finds the place as empty as this one did."""
    study_id = study_with_weights(recorded_hash="0" * 64)
    worked, text = call("export_trial", study_id=study_id, number=0, folder=str(tmp_path / "taken"))
    assert not worked
    assert "damaged" in text
    assert list(tmp_path.glob("taken*")) == []


def test_a_trial_comes_home_with_its_configuration(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer names the folder in full; without one there is the configuration alone."""
    study_id = study_with_weights()
    monkeypatch.chdir(tmp_path)
    worked, answer = call("export_trial", study_id=study_id, number=0, folder="taken")
    assert worked, answer
    assert answer["folder"] == str(tmp_path / "taken")
    assert answer["files"] == ["README.md", "load.py", "weights.safetensors"]
    assert (tmp_path / "taken" / "weights.safetensors").read_bytes() == WEIGHTS
    worked, bare = call("export_trial", study_id=study_id, number=0)
    assert (bare["folder"], bare["files"]) == (None, [])
    assert bare["configuration"] == answer["configuration"]
    assert bare["configuration"]["backbone"]


def test_a_trial_of_the_callers_own_has_parameters_only(call: Call, tmp_path: Path) -> None:
    """What it made is where the caller's program ran."""
    study_id = queued_study(trials=1)
    worked, text = call("export_trial", study_id=study_id, number=0, folder=str(tmp_path / "taken"))
    assert not worked
    assert "on a machine of yours" in text
    worked, answer = call("export_trial", study_id=study_id, number=0)
    assert (answer["parameters"], answer["configuration"]) == ({"x": 0.1}, None)
