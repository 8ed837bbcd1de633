"""Save what a trial trained, and load it again to predict.

Two files: `weights.safetensors` with the trained tensors under stable names, and
`configuration.json` with everything needed to rebuild the network around them and the hash of every
other file. A third one holds what was fitted to narrower blocks, if any are; two more are in the format of
HF `peft` where it has the method. The store keeps them all or none.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord
from service.artifacts.artifact_store import UPLOAD_PATIENCE_SECONDS, ArtifactStore, ArtifactStoreAway
from service.catalogue.tasks.rows import Row
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import Backbone, load_backbone
from workers.data.task_data import evaluation_batches, tokenise
from workers.errors import ArtifactError, TrialNotSaved
from workers.peft_methods import TrialModules, attached, logits
from workers.saving.hf_format import ADAPTER_CONFIGURATION, save_peft_format
from workers.saving.predictions import AnswerForm, AnyPrediction, predictions, split_pairs
from workers.saving.tensor_files import write_tensors
from workers.spans import tracer

WEIGHTS = "weights.safetensors"
CONFIGURATION = "configuration.json"
REFITTED = "refitted.safetensors"
"""Weights of narrower blocks that are neither the backbone's nor trained."""
FORMAT = 3
"""Of `configuration.json`. Format 1 had no `answers`, format 2 no hashes but that of the weights."""
PREDICTION_BATCH_SIZE = 64


class SavedTrial(Schema):
    """The content of `configuration.json`."""

    format_version: Literal[3] = 3
    configuration: TrialConfiguration
    backbone_shape: BackboneShape
    answers: AnswerForm
    sub_network: SubNetwork | None = Field(default=None, exclude_if=lambda kept: kept is None)
    """What stayed of the backbone; without it all of it."""
    # Versions of before would take the backbone's weights, so they must refuse it.
    is_refitted: bool = Field(default=False, exclude_if=lambda refitted: not refitted)
    """Whether the blocks of that part have the weights of `refitted.safetensors`."""
    sha256: dict[str, str]
    """Of every other file of the trial, by name."""


@dataclass(frozen=True)
class Classifier:
    """A backbone with a trial's modules, ready to predict."""

    saved: SavedTrial
    backbone: Backbone
    modules: TrialModules

    @torch.inference_mode()
    def predict(self, texts: Sequence[str | tuple[str, str]]) -> list[AnyPrediction]:
        """Return the predictions for texts, or for pairs of them, in their order.

        Raises:
            UnfitInput: If it was trained on pairs and gets single texts, or vice versa; or gets no list.
        """
        pairs = split_pairs(texts, takes_pairs=self.saved.answers.takes_pairs)
        training = self.saved.configuration.training
        split = tokenise(
            [Row(text, 0, pair) for text, pair in pairs],
            self.backbone.tokenizer,
            max_length=training.max_length,
        )
        outputs = torch.zeros(len(texts), self.saved.answers.outputs)
        with attached(self.modules, backbone=self.backbone):
            for positions, batch in evaluation_batches(
                split,
                batch_size=PREDICTION_BATCH_SIZE,
                pad_id=self.backbone.tokenizer.pad_token_id,
                device=self.backbone.device,
            ):
                outputs[positions] = logits(self.modules, batch, backbone=self.backbone).float().cpu()
        return predictions(outputs, self.saved.answers)


@tracer.start_as_current_span("save")
def save_trial(
    modules: TrialModules,
    configuration: TrialConfiguration,
    *,
    backbone: Backbone,
    answers: AnswerForm,
    store: ArtifactStore,
    path: str,
    patience_seconds: float = UPLOAD_PATIENCE_SECONDS,
) -> tuple[ArtifactRecord, ...]:
    """Store the trial's files under `path`, and return their records.

    Raises:
        TrialNotSaved: If they cannot be stored; none of them is visible then.
    """
    try:
        with store.new_folder(path, patience_seconds=patience_seconds) as folder:
            write_tensors(modules.state_dict(), folder / WEIGHTS)
            others = [WEIGHTS, *save_peft_format(modules, folder, backbone=backbone)]
            if backbone.refitted:
                write_tensors(backbone.refitted, folder / REFITTED)
                others.append(REFITTED)
            saved = SavedTrial(
                configuration=configuration,
                backbone_shape=backbone.shape,
                answers=answers,
                sub_network=backbone.sub_network,
                is_refitted=bool(backbone.refitted),
                sha256={name: _sha256(folder / name) for name in others},
            )
            (folder / CONFIGURATION).write_text(saved.model_dump_json(indent=2) + "\n", encoding="utf-8")
            return tuple(
                ArtifactRecord(
                    name=name,
                    path=f"{path}/{name}",
                    sha256=_sha256(folder / name),
                    size_bytes=(folder / name).stat().st_size,
                )
                for name in (WEIGHTS, CONFIGURATION, *others[1:])
            )
    except OSError as error:
        raise TrialNotSaved(
            f"the trained weights could not be saved under {store.writing_place} "
            f"({error.strerror or error}). Free space there, or move PARETUNE_ARTIFACTS_URL."
        ) from error
    except ArtifactStoreAway as error:
        raise TrialNotSaved(f"the trained weights could not be uploaded. {error.detail}") from error


def tensor_bytes(trials: Iterable[tuple[TrialModules, Backbone]]) -> int:
    """Return the size of the tensors that are saved of some trials, in bytes."""
    return sum(
        tensor.numel() * tensor.element_size()
        for modules, backbone in trials
        for tensor in (*modules.state_dict().values(), *backbone.refitted.values())
    )


def load_classifier(
    folder: Path, *, models_dir: Path | None = None, device: torch.device | None = None
) -> Classifier:
    """Load a saved trial.

    Raises:
        ArtifactError: If a file is missing, damaged, of another trial, or does not fit the others.
        UnsupportedBackbone: If its backbone cannot be loaded here, or has no such part.
        service.errors.UnknownBackbone: If its backbone cannot be found.
    """
    saved = _read_saved(folder)
    _check_files(folder, saved)
    weights = folder / WEIGHTS
    backbone = load_backbone(
        saved.configuration.backbone,
        models_dir=models_dir,
        device=device or torch.device("cpu"),
        quantisation=saved.configuration.quantisation,
    )
    if saved.sub_network is not None:
        backbone = extracted(backbone, saved.sub_network, refitted=_refitted(folder, saved))
    if backbone.shape != saved.backbone_shape:
        raise ArtifactError(
            f"The backbone '{saved.configuration.backbone}' here has another shape than the one trained on."
        )
    modules = TrialModules(
        saved.configuration.peft,
        backbone=backbone,
        classes=saved.answers.outputs,
        seed=saved.configuration.training.seed,
    )
    try:
        modules.load_state_dict(load_file(weights))
    except (SafetensorError, RuntimeError) as error:
        raise ArtifactError(f"{weights} does not fit its configuration: {error}") from error
    return Classifier(saved=saved, backbone=backbone, modules=modules.to(backbone.device))


def _refitted(folder: Path, saved: SavedTrial) -> dict[str, Tensor]:
    if not saved.is_refitted:
        return {}
    if REFITTED not in saved.sha256:
        raise ArtifactError(f"{folder / CONFIGURATION} is damaged: it lists no {REFITTED}.")
    try:
        weights: dict[str, Tensor] = load_file(folder / REFITTED)
    except SafetensorError as error:
        raise ArtifactError(f"{folder / REFITTED} is damaged: {error}") from error
    return weights


def _read_saved(folder: Path) -> SavedTrial:
    file = folder / CONFIGURATION
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        version = content.get("format_version") if isinstance(content, dict) else None
        if isinstance(version, int) and version != FORMAT:
            raise ArtifactError(
                f"{file} has format {version}; this version of Paretune reads format {FORMAT}. Train the "
                "configuration again with this version, or load it with the version that saved it."
            )
        return SavedTrial.model_validate(content)
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: is {folder} an exported trial?") from error
    except (ValueError, ValidationError) as error:
        raise ArtifactError(f"{file} is damaged: {error}") from error


def _check_files(folder: Path, saved: SavedTrial) -> None:
    if WEIGHTS not in saved.sha256:
        raise ArtifactError(f"{folder / CONFIGURATION} is damaged: it lists no {WEIGHTS}.")
    present = {*(file.name for file in folder.glob("*.safetensors")), ADAPTER_CONFIGURATION}
    for name in sorted(present - saved.sha256.keys()):
        if (folder / name).exists():
            raise ArtifactError(
                f"{folder / name} is no file of this trial. Export the trial into an empty folder."
            )
    for name, recorded in saved.sha256.items():
        file = folder / Path(name).name
        if not file.is_file():
            raise ArtifactError(f"{file} is missing. Export the trial again.")
        if _sha256(file) != recorded:
            raise ArtifactError(
                f"{file} is damaged: its hash is not the recorded one. Export the trial again."
            )


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
