"""From a posted study to a loaded adapter, some trials stopped half-way: real server, model and text."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from api_schemas.studies import StudyState
from api_schemas.trials import TrialState
from paretune.cli import app
from paretune.client import Client
from paretune.export import export_trial
from paretune.local import Stack
from tests.end_to_end.stack import TINY, check_history, submit, wait_until_ended

pytestmark = pytest.mark.slow

LEARNING = {
    **TINY,
    "task": {"name": "rotten-tomatoes", "train_rows": 128, "validation_rows": 128, "test_rows": 16},
    "training": {**TINY["training"], "epochs": 2},  # type: ignore[dict-item]
    "peft": {"first_active_layer": 5, "serial_adapter": {"bottleneck_size": 24}},
}
RATE = "training.learning_rate"
WORDS = (("a fine", "good"), ("a dull", "poor"))


def test_a_study_ends_in_an_adapter_that_loads(shared_stack: tuple[Stack, Client], state_root: Path) -> None:
    """Six trials on two workers, linear probe first; the export predicts in a fresh process."""
    stack, client = shared_stack
    study = submit(client, budget={"trials": 6}, parallelism=2, starting_points=[{}])
    ended = wait_until_ended(stack, client, study)
    assert (ended.state, ended.trials.succeeded) == (StudyState.SUCCEEDED, 6)
    check_history(stack, ended)
    trials = list(client.trials(study.id))
    assert trials[0].generated_by == "starting_point"
    assert trials[0].configuration.is_head_only
    front = client.pareto_front(study.id)
    best = next(trial for trial in trials if trial.id == front.points[0].trial_id)
    folder = export_trial(client, study, best, folder=state_root / "adapter")
    assert "| test | score |" in (folder / "README.md").read_text()
    loaded = subprocess.run(
        [sys.executable, folder / "load.py", "a film full of warmth and wit", "dull and far too long"],
        capture_output=True,
        text=True,
        check=True,
    )
    labels = [line.split("\t")[0] for line in loaded.stdout.splitlines()]
    assert len(labels) == 2
    assert set(labels) <= {"negative", "positive"}


def test_the_front_gets_a_second_seed_before_the_study_succeeds(
    shared_stack: tuple[Stack, Client],
) -> None:
    """Three trials on two real workers, one further seed for each member; only seed 0 leaves files."""
    stack, client = shared_stack
    study = submit(client, budget={"trials": 3}, parallelism=2, final_replicates=1)
    ended = wait_until_ended(stack, client, study)
    assert (ended.state, ended.trials.succeeded) == (StudyState.SUCCEEDED, 3)
    check_history(stack, ended)
    front = client.pareto_front(study.id)
    assert {point.seeds for point in front.points} == {2}
    for trial in client.trials(study.id):
        assert [item.seed for item in trial.replicates] == [0, 1][: len(trial.replicates)]
        assert [item.provenance["seed"] for item in trial.replicates] == [0, 1][: len(trial.replicates)]
        scores = [item.metrics["score"] for item in trial.replicates]
        assert trial.metrics["score"] == pytest.approx(sum(scores) / len(scores))
        saved = list((stack.state_dir / "artifacts" / study.id / trial.id).iterdir())
        assert len(saved) == 1


def test_a_csv_ends_in_front_plot_and_adapter(
    shared_stack: tuple[Stack, Client], state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`init`, `validate` and `run` on a server that is there; with its own: `test_interrupted_run`."""
    stack, _ = shared_stack
    monkeypatch.setenv("PARETUNE_URL", stack.url)
    monkeypatch.setenv("PARETUNE_API_KEY", stack.api_key)
    (state_root / "rows").mkdir()
    rows = [f'"{word} film, number {n}",{label}' for n in range(24) for word, label in WORDS]
    (state_root / "rows" / "films.csv").write_text("\n".join(["review,verdict", *rows]))
    study_file = state_root / "study.yaml"
    arguments = [str(state_root / "rows" / "films.csv"), "--output", str(study_file), "--yes"]
    made = CliRunner().invoke(app, ["init", *arguments])
    assert made.exit_code == 0, made.output
    # As it was written it can run; two cheap trials of it do.
    checked = CliRunner().invoke(app, ["validate", str(study_file)])
    assert "This study can run" in checked.output, checked.output
    text = (
        study_file.read_text().replace("{trials: 24}", "{trials: 2}").replace("preset: auto", "preset: lora")
    )
    study_file.write_text(
        text.replace("epochs: 3", "epochs: 1").replace("display_name:", "display_name: films #")
    )
    output = state_root / "out"
    result = CliRunner().invoke(app, ["run", str(study_file), "--output", str(output)])
    assert result.exit_code == 0, result.output
    (folder,) = output.iterdir()
    assert json.loads((folder / "pareto_front.json").read_text())["points"]
    assert f"load_classifier({str(next(folder.glob('trial-*')))!r})" in result.output
    assert (folder / "pareto_front.png").read_bytes().startswith(b"\x89PNG")
    (adapter,) = folder.glob("trial-*")
    # LoRA that is alone in its trial is saved in the format of HF peft, too.
    in_peft_format = {"adapter_config.json", "adapter_model.safetensors"}
    assert {file.name for file in adapter.iterdir()} - in_peft_format == {
        "weights.safetensors", "configuration.json", "README.md", "load.py",
    }  # fmt: skip
    listed = CliRunner().invoke(app, ["resume", "films", "--output", str(state_root / "again")])
    assert "films: SUCCEEDED" in listed.output


def test_trials_that_learn_nothing_are_stopped(shared_stack: tuple[Stack, Client]) -> None:
    """Eight trials learn; two with a learning rate of nearly zero end after half of their steps."""
    learning = [{RATE: 0.004 + 0.0005 * number} for number in range(8)]
    idle = [{RATE: 1e-9}, {RATE: 2e-9}]
    stack, client = shared_stack
    study = submit(
        client,
        configuration=LEARNING,
        search_space={"parameters": [{"type": "float", "name": RATE, "low": 1e-9, "high": 0.01}]},
        budget={"trials": 10},
        starting_points=[*learning, *idle],
        early_stopping="rank",
    )
    ended = wait_until_ended(stack, client, study)
    assert ended.state is StudyState.SUCCEEDED
    check_history(stack, ended)
    trials = list(client.trials(study.id))
    front = {point.trial_id for point in client.pareto_front(study.id).points}
    assert [trial.state for trial in trials[8:]] == [TrialState.STOPPED_EARLY] * 2
    for trial in trials[8:]:
        assert [measurement.metrics["share"] for measurement in trial.measurements] == [0.5]
        assert trial.state_reason is not None
        assert "stopped after 50% of its training" in trial.state_reason
        assert (trial.artifacts, trial.test_metrics) == ((), {})
        assert trial.id not in front
