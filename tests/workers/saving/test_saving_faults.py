"""A full disk, a killed process, a folder with foreign files: nothing half-written is ever read."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from api_schemas.trial_configuration import TrialConfiguration, patch
from service.artifacts.artifact_store import store_at
from workers.errors import ArtifactError
from workers.model_cache import ModelCache
from workers.peft_methods import TrialModules
from workers.saving.artifacts import load_classifier, save_trial
from workers.saving.predictions import AnswerForm

FULL_DISK = """
import resource, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from api_schemas.trial_configuration import TrialConfiguration
from service.artifacts.artifact_store import store_at
from workers.errors import TrialNotSaved
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial

configuration, artifacts_dir = TrialConfiguration.model_validate_json(sys.argv[1]), Path(sys.argv[2])
model_cache = ModelCache(None, device=torch.device("cpu"))

def trial(path):
    return run_trial(Trial(configuration, path, lambda measurement: None), cache=model_cache,
                     store=store_at(sys.argv[2]))

resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY))
try:
    trial("study/trial/1")
except TrialNotSaved as error:
    print(error)
print(sorted(str(path.name) for path in artifacts_dir.rglob("*")))
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
print(trial("study/trial/2").state)
"""
KILLED = """
import os, signal, sys
from pathlib import Path
import torch
torch.set_num_threads(1)
from api_schemas.trial_configuration import TrialConfiguration
from service.artifacts.artifact_store import store_at
from workers.saving.artifacts import save_trial
from workers.peft_methods import TrialModules
from workers.saving.predictions import AnswerForm
from workers.model_cache import ModelCache

configuration, artifacts_dir = TrialConfiguration.model_validate_json(sys.argv[1]), Path(sys.argv[2])
backbone = ModelCache(None, device=torch.device("cpu")).backbone(configuration.backbone)
modules = TrialModules(configuration.peft, backbone=backbone, classes=2, seed=0)
flush, flushed = os.fsync, 0
for kill_at in range(1, 7):
    child = os.fork()
    if child == 0:
        def counted(descriptor):
            global flushed
            flushed += 1
            if flushed == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            flush(descriptor)
        os.fsync = counted
        save_trial(modules, configuration, backbone=backbone, answers=AnswerForm(labels=("no", "yes")),
                   store=store_at(sys.argv[2]), path=f"trial/{kill_at}")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    print(os.WTERMSIG(status))
"""


def script(text: str, *arguments: str) -> list[str]:
    """Return what a fresh process prints; where nothing is quantised, no library complains of anything."""
    done = subprocess.run(
        [sys.executable, "-c", text, *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


@pytest.mark.nightly
@pytest.mark.slow
def test_a_full_disk_leaves_nothing_and_the_next_trial_works(
    small_trial: TrialConfiguration, artifacts_dir: Path
) -> None:
    """The sentence says what to free; it is the machine's fault, so the trial is not called infeasible."""
    reason, left, then = script(FULL_DISK, small_trial.model_dump_json(), str(artifacts_dir))
    assert "Free space there" in reason
    assert str(artifacts_dir) in reason
    assert left == "['study', 'trial']"
    assert then == "SUCCEEDED"
    load_classifier(artifacts_dir / "study/trial/2")


@pytest.mark.nightly
@pytest.mark.slow
def test_a_kill_while_saving_leaves_a_whole_folder_or_none(
    small_trial: TrialConfiguration, artifacts_dir: Path
) -> None:
    """Killed at every flush in turn; then another attempt takes what is left of the ones before away."""
    lora = patch(small_trial, {"peft.serial_adapter.bottleneck_size": 0, "peft.lora.rank": 2})
    signals = script(KILLED, lora.model_dump_json(), str(artifacts_dir))
    assert signals == [str(int(signal.SIGKILL))] * 5 + ["0"]
    assert sorted(path.name for path in (artifacts_dir / "trial").glob("[!.]*")) == ["5", "6"]
    for whole in ("5", "6"):
        load_classifier(artifacts_dir / "trial" / whole)
    store_at(str(artifacts_dir)).delete_earlier_attempts("trial/6")
    assert [path.name for path in (artifacts_dir / "trial").iterdir()] == ["6"]


@pytest.fixture
def saved(small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path) -> Path:
    lora = patch(small_trial, {"peft.serial_adapter.bottleneck_size": 0, "peft.lora.rank": 2})
    backbone = model_cache.backbone(lora.backbone)
    save_trial(
        TrialModules(lora.peft, backbone=backbone, classes=2, seed=0), lora, backbone=backbone,
        answers=AnswerForm(labels=("no", "yes")), store=store_at(str(artifacts_dir)), path="t/1",
    )  # fmt: skip
    load_classifier(artifacts_dir / "t/1")
    return artifacts_dir / "t/1"


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors", "weights.safetensors"])
@pytest.mark.parametrize("change", ["missing", "truncated", "changed"])
def test_every_file_of_a_trial_must_be_the_one_that_was_saved(saved: Path, name: str, change: str) -> None:
    """Also those that only peft reads: a merge would read them."""
    content = (saved / name).read_bytes()
    if change == "missing":
        (saved / name).unlink()
    else:
        (saved / name).write_bytes(content[:-10] if change == "truncated" else content + b" ")
    with pytest.raises(ArtifactError, match=rf"{name} is (missing|damaged).*Export the trial again"):
        load_classifier(saved)


def test_a_file_of_another_trial_is_refused(saved: Path) -> None:
    """Two exports into one folder are no trial; a README of one's own is no harm."""
    (saved / "README.md").write_text("mine")
    load_classifier(saved)
    shutil.copy(saved / "weights.safetensors", saved / "other.safetensors")
    with pytest.raises(ArtifactError, match=r"other.safetensors is no file of this trial.*empty folder"):
        load_classifier(saved)


@pytest.mark.parametrize("version", [1, 2, 99])
def test_another_format_says_what_to_do(saved: Path, version: int) -> None:
    """Which format it is, and which one is read here."""
    file = saved / "configuration.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "format_version": version}))
    with pytest.raises(ArtifactError, match=rf"has format {version};.*reads format 3.*Train the"):
        load_classifier(saved)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"format_version": 3}', "\udcff"])
def test_a_damaged_configuration_is_said_to_be_one(saved: Path, content: str) -> None:
    """Whatever it holds."""
    (saved / "configuration.json").write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(ArtifactError, match="is damaged"):
        load_classifier(saved)
