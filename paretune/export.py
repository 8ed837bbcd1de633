"""Turn a trial into a folder that others can use: weights, configuration, model card, load.py."""

import shutil
from pathlib import Path

from api_schemas.peft.description import describe_modules
from api_schemas.studies import StudyRead
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import IMPORTED, ArtifactKind, TrialRead, TrialState
from paretune.client import Client
from paretune.errors import ParetuneError
from paretune.local_backbones import models_dir
from paretune.network_drawing import drawing
from paretune.numbers import format_metric, format_with_error
from paretune.plain_usage import adapter_usage, kept_layers, merged_usage
from paretune.printable import as_markdown

LOAD_PY = '''"""Load this trial and predict: `python load.py "a text" "another"`; a pair is two in a row."""

import sys
from pathlib import Path

from paretune import load_classifier

classifier = load_classifier(Path(__file__).parent)
texts = sys.argv[1:] or ["a film full of warmth and wit", "a film without either"]
if classifier.saved.answers.takes_pairs:
    texts = list(zip(texts[::2], texts[1::2], strict=True))
for prediction in classifier.predict(texts):
    print(*vars(prediction).values(), sep="\\t")
'''


CARD = "README.md"
MERGED = "merged"
PICTURE = "kept.svg"
OPTIONAL_FILES = frozenset(
    {"adapter_config.json", "adapter_model.safetensors", "refitted.safetensors", PICTURE}
)
"""Files that only some trials leave."""


class NothingToExport(ParetuneError):
    """The trial left no trained weights."""


class CannotBeMerged(ParetuneError):
    """What the trial trained is no change of weights, or its backbone is not at hand."""


class FolderNotEmpty(ParetuneError):
    """Something lies where the trial should go."""


def check_new(folder: Path, *, force: bool) -> None:
    """Insist that nothing lies where an export goes, unless it may be written over.

    Raises:
        FolderNotEmpty: If something lies there.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderNotEmpty(f"{folder} is a file. Name a new folder.")
    if not force and folder.is_dir() and any(folder.iterdir()):
        raise FolderNotEmpty(f"{folder} is not empty. Name a new folder, or write over it with --force.")


def export_trial(client: Client, study: StudyRead, trial: TrialRead, *, folder: Path) -> Path:
    """Write the folder and give its path.

    Raises:
        NothingToExport: If the trial has no artifacts; those of a custom study never have.
        DamagedDownload: If a file does not have the server's hash.
    """
    card = model_card(study, trial)
    if not trial.artifacts:
        raise NothingToExport(why_nothing(study, trial))
    folder.mkdir(parents=True, exist_ok=True)
    remove_of_another_trial(folder, keep={record.name for record in trial.artifacts})
    for record in trial.artifacts:
        client.download_artifact(study.id, trial.id, record.name, to=folder / record.name)
    picture = _picture(study, trial, folder)
    (folder / CARD).write_text(f"{card}\n{picture}{adapter_usage(folder)}", encoding="utf-8")
    (folder / "load.py").write_text(LOAD_PY, encoding="utf-8")
    return folder


def _picture(study: StudyRead, trial: TrialRead, folder: Path) -> str:
    """Draw what a trial kept of its backbone, beside its card, and return what shows it there."""
    kept = trial.configuration and trial.configuration.architecture
    if not kept or study.backbone_shape is None:
        return ""
    (folder / PICTURE).write_text(drawing(kept, study.backbone_shape, kept_layers(folder)), encoding="utf-8")
    return f"## What was kept\n\n![{kept.words(layers=study.backbone_shape.layers)}]({PICTURE})\n\n"


def why_nothing(study: StudyRead, trial: TrialRead) -> str:
    """Return why a trial without artifacts has none, and what to choose in its place."""
    if trial.generated_by == IMPORTED:
        return (
            f"Trial {trial.number} is an imported result, and what it trained stayed where it came from. "
            f"Export it from there, or choose a trial of this study; `paretune status {study.id}` lists them."
        )
    return (
        f"Trial {trial.number} is {trial.state} and left no weights. Choose a succeeded trial; "
        f"`paretune status {study.id}` lists them."
    )


def remove_of_another_trial(folder: Path, *, keep: set[str]) -> None:
    """Take away what an earlier export into the folder left and this one does not replace."""
    for name in OPTIONAL_FILES - keep:
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / MERGED, ignore_errors=True)


def merge_exported(folder: Path) -> Path:
    """Merge an exported trial into its backbone, as a plain transformer in `folder / "merged"`.

    Raises:
        CannotBeMerged: If the trial's method adds parts or tokens instead of changing weights, or its
            backbone cannot be found; `PARETUNE_MODELS_DIR` says where local ones are.
    """
    # torch loads only for those who merge, not for every export.
    from service.errors import UnknownBackbone
    from workers.errors import ArtifactError, UnsupportedBackbone
    from workers.saving.merged import export_merged

    try:
        merged = export_merged(folder, folder / MERGED, models_dir=models_dir())
    except (ArtifactError, UnknownBackbone, UnsupportedBackbone) as error:
        raise CannotBeMerged(str(error)) from error
    (merged / CARD).write_text(merged_usage(folder), encoding="utf-8")
    return merged


def opens_with(merged: Path) -> str:
    """Return what opens a merged trial, in a sentence; nothing where plain transformers do."""
    from workers.saving.grouped_format import is_grouped

    if not is_grouped(merged):
        return ""
    return (
        "Plain transformers cannot open it, for its layers have several widths: load it with "
        "paretune.load_network, or write its graph with --onnx"
    )


def onnx_of_merged(merged: Path) -> tuple[Path, str]:
    """Write a merged trial with its head as an ONNX graph beside it.

    Return the path of the file, and what it takes in ONNX Runtime and in torch, in a sentence.

    Raises:
        CannotBeMerged: If the packages of the extra `onnx` are missing.
    """
    from workers.errors import ArtifactError
    from workers.saving.onnx_format import export_onnx
    from workers.saving.onnx_timing import time_runtimes

    try:
        return export_onnx(merged), time_runtimes(merged).words()
    except ArtifactError as error:
        raise CannotBeMerged(str(error)) from error


def model_card(study: StudyRead, trial: TrialRead) -> str:
    """Write the model card: task, scores with split and seed, parameters, versions.

    Raises:
        NothingToExport: If it is a trial of a custom study, which trains no model of ours.
    """
    configuration = trial.configuration
    if configuration is None:
        raise NothingToExport(
            f"Trial {trial.number} ran on a machine of yours, and what it made is there. "
            f"Its parameters: {trial.parameters}"
        )
    scores = [
        f"| {split} | {name} | {format_with_error(name, metrics, errors, custom=False)} |"
        for split, metrics, errors in (
            ("validation", trial.metrics, trial.metric_standard_errors),
            ("test", trial.test_metrics, trial.test_metric_standard_errors),
        )
        for name in metrics
    ]
    backbone, task = as_markdown(configuration.backbone), as_markdown(configuration.task.owners_name)
    facts = {
        "backbone": backbone,
        "task": task,
        "modules": describe_modules(configuration),
        **_size_or_progress(trial),
        "training seed": str(configuration.training.seed),
        "recipe": (
            f"AdamW, learning rate {configuration.training.learning_rate:g}, "
            f"{configuration.training.epochs} epochs, batches of {configuration.training.batch_size}, "
            f"at most {configuration.training.max_length} tokens{_teacher_words(configuration)}"
        ),
        "study, trial": f"{study.id}, {trial.id} (number {trial.number}, attempt {trial.attempt})",
        "proposed by": trial.generated_by,
    }
    return "\n".join(
        [
            f"# {backbone} for {task}",
            "",
            f'Found by Paretune in the study "{as_markdown(study.display_name)}".',
            'Run `python load.py "some text"` to use it.',
            "",
            *(f"- **{name}**: {value}" for name, value in facts.items()),
            "",
            "## Scores",
            "",
            _training_runs(trial, configuration),
            "The search looked at the validation split only; the test split was measured for this report.",
            f"`score` is {configuration.task.resolved_score}.",
            "",
            "| split | metric | value |",
            "| --- | --- | ---: |",
            *scores,
            "",
            "## Made with",
            "",
            *(f"- {name}: {as_markdown(str(value))}" for name, value in sorted(trial.provenance.items())),
            "",
        ]
    )


def _teacher_words(configuration: TrialConfiguration) -> str:
    taught = configuration.training.distillation
    if taught is None:
        return ""
    return (
        f"; taught by the whole fine-tuned network (weight {taught.weight:g}, temperature "
        f"{taught.temperature:g})"
    )


def _size_or_progress(trial: TrialRead) -> dict[str, str]:
    checkpoints = [record for record in trial.artifacts if record.kind is ArtifactKind.CHECKPOINT]
    if not checkpoints:
        known = trial.metrics.get("trainable_parameters", 0)
        return {"trained parameters": format_metric("trainable_parameters", known, custom=False)}
    step = checkpoints[0].step
    return {"unfinished": f"a checkpoint of step {step}; the trial was cancelled and never evaluated"}


def _training_runs(trial: TrialRead, configuration: TrialConfiguration) -> str:
    own, folds = configuration.training.seed, configuration.task.folds
    dealt = "" if folds is None else f" Each seed validates on one of {folds} folds of train and validation."
    seeds = [str(item.seed) for item in trial.replicates if item.state is TrialState.SUCCEEDED]
    if len(seeds) < 2:
        return f"One training run (seed {own}).{dealt}"
    return (
        f"Means of {len(seeds)} training runs (seeds {', '.join(seeds)}) ± standard error. "
        f"The weights here are those of seed {own}.{dealt}"
    )
