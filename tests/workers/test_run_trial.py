"""Whole trials on the real MiniLM and real text: repeatable, honest about failure, and without trace."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from api_schemas.peft.counts import trainable_parameters
from api_schemas.tasks import Task
from api_schemas.trial_configuration import TrialConfiguration, patch
from api_schemas.trials import Measurement, TrialReport, TrialState
from service.artifacts.artifact_store import store_at
from service.catalogue.tasks.sources import settled
from tests.workers.conftest import CPU, counted_shape
from tests.workers.divergence import diverging
from workers.interruption import TrialStopped
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial
from workers.saving.artifacts import load_classifier
from workers.saving.predictions import LabelsPrediction, ValuePrediction


def run(
    configuration: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path, **callbacks: object
) -> tuple[TrialReport, list[Measurement]]:
    measurements: list[Measurement] = []
    report = run_trial(
        Trial(configuration, "study/trial/1", callbacks.get("report", measurements.append)),
        cache=model_cache,
        store=store_at(str(artifacts_dir)),
    )
    return report, measurements


def test_a_diverging_trial_is_infeasible(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Not a number is a fact about the configuration; nothing is saved."""
    report, _ = run(diverging(small_trial), model_cache, artifacts_dir)
    assert report.state is TrialState.INFEASIBLE
    assert report.reason is not None
    assert report.reason.startswith("not-a-number")
    assert not artifacts_dir.exists()


def test_too_many_rows_are_infeasible(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """The reason says how many there are."""
    report, _ = run(patch(small_trial, {"task.train_rows": 10**6}), model_cache, artifacts_dir)
    assert report.state is TrialState.INFEASIBLE
    assert "6398" in (report.reason or "")


def test_a_stopped_trial_leaves_the_backbone_as_it_was(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """The interruption passes through, and no hook stays behind."""

    def stop(_: Measurement) -> None:
        raise TrialStopped("cancelled")

    with pytest.raises(TrialStopped):
        run(small_trial, model_cache, artifacts_dir, report=stop)
    model = model_cache.backbone(small_trial.backbone).model
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def without_times(measurement: Measurement) -> dict[str, float]:
    timed = {"latency_ms", "peak_memory_bytes", "training_seconds"}
    return {name: value for name, value in measurement.metrics.items() if name not in timed}


def test_a_trial_that_is_told_to_stop_ends_there(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """After its first measurement: no artifact, no test scores, and the metrics as they were then."""
    measured: list[Measurement] = []

    def stop(measurement: Measurement) -> bool:
        measured.append(measurement)
        return True

    report, _ = run(small_trial, model_cache, artifacts_dir, report=stop)
    assert (report.state, report.artifacts, report.test_metrics) == (TrialState.STOPPED_EARLY, (), {})
    assert [measurement.metrics["share"] for measurement in measured] == [0.5]
    assert report.metrics == measured[0].metrics
    assert not artifacts_dir.exists()


def test_same_seed_same_score_to_the_last_bit(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Whatever ran in between, and whatever the global random state."""
    first, measured = run(small_trial, model_cache, artifacts_dir)
    weights = (artifacts_dir / "study/trial/1/weights.safetensors").read_bytes()
    torch.manual_seed(99)
    run(patch(small_trial, {"training.seed": 5}), model_cache, artifacts_dir)
    second, measured_again = run(small_trial, model_cache, artifacts_dir)
    assert list(map(without_times, measured)) == list(map(without_times, measured_again))
    learned = ("score", "macro_f1", "loss", "collapsed")
    assert [first.metrics[name] for name in learned] == [second.metrics[name] for name in learned]
    assert first.test_metrics == second.test_metrics
    assert (artifacts_dir / "study/trial/1/weights.safetensors").read_bytes() == weights


def test_with_folds_two_seeds_use_two_partitions(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Other rows with another seed, the same with the same; and what the cache kept changes no number."""
    folds = {**small_trial.task.model_dump(mode="json"), "resampling": {"folds": 3}}
    dealt = [
        TrialConfiguration.model_validate(
            {**patch(small_trial, {"training.seed": seed}).model_dump(mode="json"), "task": folds}
        )
        for seed in (0, 1, 0)
    ]
    reports = [run(one, model_cache, artifacts_dir)[0] for one in dealt]
    data = [report.provenance["data_sha256"] for report in reports]
    assert data[0] == data[2] != data[1]
    assert reports[0].metrics["loss"] == reports[2].metrics["loss"]
    assert {report.provenance["validation_rows"] for report in reports} == {16}
    rows = [set(model_cache.task(one).validation.ids) for one in dealt[:2]]
    assert not rows[0] & rows[1]
    uncached = ModelCache(None, device=CPU, activation_cache_bytes=0)
    plain, _ = run(dealt[1], uncached, artifacts_dir)
    assert plain.provenance["starts_at_layer"] != reports[1].provenance["starts_at_layer"]
    assert plain.provenance["data_sha256"] == data[1]
    assert plain.metrics["loss"] == pytest.approx(reports[1].metrics["loss"], abs=1e-5)
    assert plain.test_metrics["score"] == reports[1].test_metrics["score"]


def test_a_trial_reports_every_cost_and_where_it_comes_from(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """One measurement per epoch; scores of both splits apart; exact parameters; versions and data."""
    report, measurements = run(small_trial, model_cache, artifacts_dir)
    assert [measurement.step for measurement in measurements] == [1, 2]
    assert report.metrics["score"] == measurements[-1].metrics["score"]
    assert report.metrics["trainable_parameters"] == (2 * 384 * 4 + 4 + 384) + (384 * 2 + 2)
    assert min(report.metrics[name] for name in ("latency_ms", "peak_memory_bytes", "training_seconds")) > 0
    assert set(report.test_metrics) == {"score", "accuracy", "macro_f1", "matthews", "loss"}
    assert {"torch", "transformers", "seed", "data_sha256", "validation_rows", "dtype"} <= set(
        report.provenance
    )
    assert load_classifier(artifacts_dir / "study/trial/1").saved.configuration == small_trial


def test_a_trial_without_a_place_leaves_nothing(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Further seeds are measured only; the first one's weights are the trial's."""
    report = run_trial(
        Trial(small_trial, None, lambda _: False), cache=model_cache, store=store_at(str(artifacts_dir))
    )
    assert (report.state, report.artifacts) == (TrialState.SUCCEEDED, ())
    assert not artifacts_dir.exists()


REVIEWS = [
    {"text": f"{'good' if n % 2 else 'bad'} film {n}", "pair": f"scene {n}", "class": n % 3,
     "labels": ["good"] * (n % 2) + ["long"] * (n % 3 == 0), "stars": 2.0 + n % 5}
    for n in range(160)
]  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "outputs", "score", "metrics"),
    [
        ({"label_column": "class"}, 3, "accuracy", {"accuracy", "macro_f1", "matthews"}),
        (
            {"label_column": "class", "score": "matthews", "text_pair_column": "pair"},
            3, "matthews", {"accuracy", "matthews"},
        ),
        ({"label_column": "labels", "kind": "multi_label"}, 2, "macro_f1", {"accuracy", "macro_f1"}),
        ({"label_column": "stars", "kind": "regression"}, 1, "spearman", {"spearman", "pearson"}),
    ],
)  # fmt: skip
def test_every_kind_of_task_is_trained_scored_and_saved(
    fields: dict[str, str], outputs: int, score: str, metrics: set[str],
    small_trial: TrialConfiguration, model_cache: ModelCache, tmp_path: Path,
) -> None:  # fmt: skip
    """From a file to a network that answers in the task's own terms."""
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, [*REVIEWS, {"text": ""}])))
    posted = Task.model_validate({"name": "file:a.jsonl", **fields})
    task = settled(posted, data_dir=tmp_path, tenant_id="me")
    here = ModelCache(None, device=model_cache.device, data_dir=tmp_path)
    report, measurements = run(small_trial.model_copy(update={"task": task}), here, tmp_path / "artifacts")
    assert report.state is TrialState.SUCCEEDED, report.reason
    assert metrics <= set(report.test_metrics)
    assert report.metrics["score"] == report.metrics[score] == measurements[-1].metrics["score"]
    assert report.metrics["trainable_parameters"] == (2 * 384 * 4 + 4 + 384) + (384 + 1) * outputs
    assert report.provenance["dropped_empty_texts"] == 1
    classifier = load_classifier(tmp_path / "artifacts/study/trial/1")
    asked = ("good film", "scene") if "text_pair_column" in fields else "good film"
    (answer,) = classifier.predict([asked])
    if isinstance(answer, ValuePrediction):
        assert 0 < answer.value < 8
    elif isinstance(answer, LabelsPrediction):
        assert list(answer.probabilities) == ["good", "long"]
    else:
        assert answer.label in "012"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tweets", "boolq", "sms-spam"])
def test_packaged_tasks_are_trained_on(
    name: str, small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Three classes, pairs of texts, and an unbalanced task, of real text."""
    report, _ = run(patch(small_trial, {"task.name": name}), model_cache, artifacts_dir)
    assert report.state is TrialState.SUCCEEDED, report.reason


OUT_OF_MEMORY = """
import json, os, resource, sys
from pathlib import Path
import structlog
import torch
structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
torch.set_num_threads(1)
from api_schemas.trial_configuration import TrialConfiguration, patch
from service.artifacts.artifact_store import store_at
from workers.model_cache import ModelCache
from workers.run_trial import Trial, run_trial

small = TrialConfiguration.model_validate_json(sys.argv[1])
huge = patch(small, {"task.train_rows": 512, "training.batch_size": 512, "training.max_length": 64,
                     "peft.parallel_adapter.bottleneck_size": 60000})
model_cache = ModelCache(None, device=torch.device("cpu"))
trial = lambda c: run_trial(Trial(c, "t", lambda m: False), cache=model_cache, store=store_at(sys.argv[2]))
model_cache.task(small)
untouched = os.fork()
if untouched:
    os.waitpid(untouched, 0)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 700_000_000,) * 2)
    report = trial(huge)
    print(report.state, report.reason)
report = trial(small)
print(json.dumps([report.metrics["score"], report.metrics["loss"], report.test_metrics]))
"""


@pytest.mark.nightly
@pytest.mark.skipif(sys.platform != "linux", reason="address space limits are read from /proc")
@pytest.mark.slow
def test_out_of_memory_is_infeasible_and_the_next_trial_is_unaffected(
    small_trial: TrialConfiguration, tmp_path: Path
) -> None:
    """A real allocation fails under a real limit; the next trial equals one in an untouched process."""
    done = subprocess.run(
        [sys.executable, "-c", OUT_OF_MEMORY, small_trial.model_dump_json(), tmp_path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    untouched, failed, after = done.stdout.splitlines()
    assert failed.startswith("INFEASIBLE out-of-memory: ")
    assert after == untouched


@pytest.mark.parametrize("method", ["adalora", "bitfit", "oft", "p_tuning"])
def test_a_method_of_the_library_is_a_whole_trial(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path, method: str
) -> None:
    """Trained, measured, saved, and counted as the known cost says; the backbone comes out as it went in."""
    backbone = model_cache.backbone(small_trial.backbone)
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    configuration = patch(small_trial, {"peft.method": method})
    report, _ = run(configuration, model_cache, artifacts_dir)
    assert report.state is TrialState.SUCCEEDED
    known = trainable_parameters(configuration, shape=backbone.shape, classes=2)
    assert report.metrics["trainable_parameters"] == known
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert len(load_classifier(artifacts_dir / "study/trial/1").predict(["a film full of wit"])) == 1


def test_fine_tuned_weights_are_saved_and_loaded_and_the_backbone_keeps_its_own(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """From the last layer on: the count known before, a file with the weights, the same answers from it."""
    backbone = model_cache.backbone(small_trial.backbone)
    before = {name: weight.clone() for name, weight in backbone.layers[5].state_dict().items()}
    configuration = TrialConfiguration.model_validate(
        small_trial.model_dump(mode="json") | {"peft": {"method": "full", "first_active_layer": 5}}
    )
    report, measurements = run(configuration, model_cache, artifacts_dir)
    shape = counted_shape(backbone)
    known = trainable_parameters(configuration, shape=shape, classes=2)
    assert shape.weights is not None
    assert known == shape.weights.each_layer + 384 * 2 + 2
    assert report.metrics["trainable_parameters"] == known
    assert report.metrics["adapter_flops"] == 0
    assert measurements[-1].metrics["train_loss"] < measurements[0].metrics["train_loss"]
    after = backbone.layers[5].state_dict()
    assert all(torch.equal(after[name], weight) for name, weight in before.items())
    folder = artifacts_dir / "study" / "trial" / "1"
    saved = load_file(folder / "weights.safetensors")
    assert sum(tensor.numel() for tensor in saved.values()) == known
    texts = ["a moving film", "dull"]
    first, second = (load_classifier(folder).predict(texts) for _ in range(2))
    assert first == second
    assert not torch.equal(
        saved["library.encoder.layer.5.output.dense.weight"], before["output.dense.weight"]
    )


def test_the_training_loop_lets_adalora_give_up_rank(
    small_trial: TrialConfiguration, model_cache: ModelCache, artifacts_dir: Path
) -> None:
    """Half of rank 8 of the two projections is left in what is saved."""
    run(patch(small_trial, {"peft.method": "adalora"}), model_cache, artifacts_dir)
    tensors = load_file(artifacts_dir / "study/trial/1/weights.safetensors")
    values = [tensor for name, tensor in tensors.items() if ".lora_E." in name]
    assert [len(value) for value in values] == [8, 8]
    assert sum(int((value != 0).sum()) for value in values) == 8
