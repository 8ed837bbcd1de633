"""Save what a trial trained, and load it again to predict.

Two files: `weights.safetensors` with the trained tensors under stable names, and
`configuration.json` with everything needed to rebuild the network around them; and two more in the
format of HF `peft` where it has the method. Written to a temporary folder and renamed into place, so
a reader sees a whole trial or none.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from api_schemas.backbones import BackboneShape
from api_schemas.base import Schema
from api_schemas.trial_configuration import TrialConfiguration
from api_schemas.trials import ArtifactRecord
from service.task_catalogue.rows import Row
from workers.backbones import Backbone, load_backbone
from workers.errors import ArtifactError
from workers.hf_format import save_peft_format
from workers.peft_methods import TrialModules, attached, logits
from workers.predictions import AnswerForm, AnyPrediction, predictions, split_pairs
from workers.task_data import evaluation_batches, tokenise

WEIGHTS = "weights.safetensors"
CONFIGURATION = "configuration.json"
PREDICTION_BATCH_SIZE = 64


class SavedTrial(Schema):
    """The content of `configuration.json`."""

    format_version: Literal[2] = 2
    configuration: TrialConfiguration
    backbone_shape: BackboneShape
    answers: AnswerForm
    weights_sha256: str


@dataclass(frozen=True)
class Classifier:
    """A backbone with a trial's modules, ready to predict."""

    saved: SavedTrial
    backbone: Backbone
    modules: TrialModules

    @torch.inference_mode()
    def predict(self, texts: Sequence[str | tuple[str, str]]) -> list[AnyPrediction]:
        """Answer for texts, or for pairs of them, in their order.

        Raises:
            UnfitInput: If it was trained on pairs and gets single texts, or the other way round.
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


def save_trial(
    modules: TrialModules,
    configuration: TrialConfiguration,
    *,
    backbone: Backbone,
    answers: AnswerForm,
    artifacts_dir: Path,
    path: str,
) -> tuple[ArtifactRecord, ...]:
    """Write the trial's files to `artifacts_dir / path` and give their records."""
    final = artifacts_dir / path
    unfinished = final.with_name(f".{final.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in modules.state_dict().items()}
    save_file(tensors, unfinished / WEIGHTS)
    saved = SavedTrial(
        configuration=configuration,
        backbone_shape=backbone.shape,
        answers=answers,
        weights_sha256=_sha256(unfinished / WEIGHTS),
    )
    (unfinished / CONFIGURATION).write_text(saved.model_dump_json(indent=2) + "\n", encoding="utf-8")
    names = (WEIGHTS, CONFIGURATION, *save_peft_format(modules, unfinished, backbone=backbone))
    for name in names:
        _flush(unfinished / name)
    shutil.rmtree(final, ignore_errors=True)
    unfinished.replace(final)
    _flush(final.parent)
    return tuple(
        ArtifactRecord(
            name=name,
            path=f"{path}/{name}",
            sha256=_sha256(final / name),
            size_bytes=(final / name).stat().st_size,
        )
        for name in names
    )


def load_classifier(
    folder: Path, *, models_dir: Path | None = None, device: torch.device | None = None
) -> Classifier:
    """Load a saved trial.

    Raises:
        ArtifactError: If a file is missing, damaged, or does not fit the others.
        service.errors.UnknownBackbone: If its backbone cannot be found.
    """
    saved = _read_saved(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise ArtifactError(f"{weights} is missing. Export the trial again.")
    if _sha256(weights) != saved.weights_sha256:
        raise ArtifactError(
            f"{weights} is damaged: its hash is not the recorded one. Export the trial again."
        )
    backbone = load_backbone(
        saved.configuration.backbone,
        models_dir=models_dir,
        device=device or torch.device("cpu"),
        quantisation=saved.configuration.quantisation,
    )
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


def _read_saved(folder: Path) -> SavedTrial:
    file = folder / CONFIGURATION
    try:
        return SavedTrial.model_validate(json.loads(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ArtifactError(f"{file} cannot be read: is {folder} an exported trial?") from error
    except (ValueError, ValidationError) as error:
        raise ArtifactError(f"{file} is damaged: {error}") from error


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
