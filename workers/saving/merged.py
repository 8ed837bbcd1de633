"""A trial merged into its backbone: a plain transformer that needs neither Paretune nor peft.

Works where the trained change is a change of weights. Prompts, adapters and prefixes are not.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import Tensor, nn
from transformers import AutoTokenizer

from workers.architecture.extraction import cut
from workers.backbones.loading import Backbone, backbone_folder, own_bits, whole_network
from workers.errors import ArtifactError
from workers.peft_methods.bitfit import named_changes
from workers.peft_methods.full import OwnWeights
from workers.peft_methods.lora import LowRank
from workers.peft_methods.scale_shift import ScaleShift
from workers.saving.artifacts import Classifier, load_classifier
from workers.saving.grouped_format import write_grouped
from workers.saving.hf_format import ADAPTER_CONFIGURATION

HEAD = "head.safetensors"
ANSWERS = "answers.json"
EXPECTED_WARNINGS = (
    ".*is_gradient_checkpointing",  # peft uses the old name of a property of transformers
    "Unsupported layer type",  # peft warns about every norm that it trains
    "Found missing adapter keys.*randlora",  # our files hold the shared projections once, not per layer
)


def export_merged(folder: Path, out: Path, *, models_dir: Path | None = None) -> Path:
    """Write the merged transformer of a saved trial to `out`, in float32, and return that path.

    `out` loads with the class that its `config.json` names, which holds the tensors of the backbone's
    files and no others: `AutoModel`, except for T5, where that would load both halves. Where layers have
    several widths, it is `workers.saving.grouped_format` that writes and loads it. `head.safetensors`
    holds `weight` of shape (classes, hidden size) and `bias`, for the mean of the hidden states over the
    real tokens; `answers.json` what its outputs mean. No class of transformers for classification reads
    that mean in a supported family, so the configuration has no labels: a classifier built on it from this
    folder alone has no labels to answer with, rather than answering at random.

    Raises:
        ArtifactError: If the trial is damaged, or what it trained is no change of whole weights.
        UnsupportedBackbone: If its backbone cannot be loaded here.
        service.errors.UnknownBackbone: If its backbone cannot be found.
    """
    classifier = load_classifier(folder, models_dir=models_dir)
    _refuse_quantised(classifier, models_dir=models_dir)
    name = classifier.saved.configuration.backbone
    source = backbone_folder(name, models_dir=models_dir)
    model = whole_network(name, source, dtype=torch.float32)
    if classifier.saved.sub_network is not None:
        backbone = classifier.backbone
        model = cut(model, classifier.saved.sub_network, paths=backbone.paths, refitted=backbone.refitted)
    merged = _merged(model, classifier, folder=folder)
    merged.config.id2label, merged.config.label2id = {}, {}  # type: ignore[union-attr]  # ships no types
    kept = classifier.saved.sub_network
    if kept is None or kept.is_uniform:
        merged.save_pretrained(out)  # type: ignore[operator]  # transformers ships no types
    else:
        write_grouped(merged, out, sub_network=kept)
    AutoTokenizer.from_pretrained(source, trust_remote_code=False).save_pretrained(out)
    head = {name: tensor.contiguous() for name, tensor in classifier.modules.head.state_dict().items()}
    save_file(head, out / HEAD)
    (out / ANSWERS).write_text(classifier.saved.answers.model_dump_json() + "\n", encoding="utf-8")
    return out


def _refuse_quantised(classifier: Classifier, *, models_dir: Path | None) -> None:
    configuration = classifier.saved.configuration
    if configuration.quantisation is not None:
        raise ArtifactError(
            "The backbone was quantised while it was trained on, and a merged one would not be: they would "
            "differ. Use load.py, or choose a trial without 'quantisation'."
        )
    own = own_bits(configuration.backbone, backbone_folder(configuration.backbone, models_dir=models_dir))
    if own is not None:
        raise ArtifactError(
            f"The files of '{configuration.backbone}' hold its weights in {own}, which cannot take a change "
            "exactly: they cannot be merged. Use load.py, or train on the whole weights."
        )


def _merged(model: nn.Module, classifier: Classifier, *, folder: Path) -> nn.Module:
    modules = classifier.modules
    if modules.peft.method.definition.is_prompt:
        raise ArtifactError("Prompts stand in the text, not in the weights: they cannot be merged.")
    if isinstance(modules.library, OwnWeights):
        with torch.no_grad():
            for name, trained in modules.library.named_parameters():
                model.get_parameter(name).copy_(trained)
        return model
    if not modules.kinds and (folder / ADAPTER_CONFIGURATION).is_file():
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            merged: nn.Module = PeftModel.from_pretrained(model, folder).merge_and_unload()
        return merged
    if not modules.merges:
        raise ArtifactError(
            "Adapters and prefixes are new parts of the network, not changes of weights: they cannot be "
            "merged. Use load.py, or choose a trial of LoRA or of another method that changes weights."
        )
    with torch.no_grad():
        for layer, methods in modules.layers.items():
            for kind, method in methods.named_children():
                if kind == "bitfit":
                    _add_to_biases(model, method, backbone=classifier.backbone, layer=int(layer))
                for role, change in method.named_children():
                    _change_projection(
                        _Target(model, classifier.backbone, int(layer), role),
                        change,
                        alpha=modules.peft.lora.alpha,
                    )
    return model


@dataclass(frozen=True)
class _Target:
    """A projection of the model that receives the change, located by its place in the backbone."""

    model: nn.Module
    backbone: Backbone
    layer: int
    role: str

    def rows(self, parameter: str) -> Tensor | None:
        """Return a view of the projection's rows of its weight or bias; None if it has no such parameter."""
        projection = self.backbone.projection(self.layer, self.role)
        module = self.model.get_submodule(_name_of(self.backbone, projection.module))
        whole = getattr(module, parameter, None)
        if whole is None:
            return None
        own = slice(projection.start, projection.start + projection.outputs)
        tensor: Tensor = whole.data.T if parameter == "weight" and projection.transposed else whole.data
        return tensor[own]


def _change_projection(target: _Target, change: nn.Module, *, alpha: float) -> None:
    weight, bias = target.rows("weight"), target.rows("bias")
    assert weight is not None  # noqa: S101  a linear projection has one
    if isinstance(change, LowRank):
        weight += alpha / len(change.A) * change.B @ change.A
    elif isinstance(change, ScaleShift):
        weight *= change.gamma.unsqueeze(1)
        if bias is None:
            raise ArtifactError(
                f"The {target.role} of '{target.backbone.name}' has no bias that could hold a shift: scale "
                "and shift cannot be merged there. Use load.py."
            )
        bias *= change.gamma
        bias += change.beta


def _add_to_biases(model: nn.Module, method: nn.Module, *, backbone: Backbone, layer: int) -> None:
    part = _name_of(backbone, backbone.layers[layer])
    for name, change in named_changes(method).items():
        model.get_parameter(f"{part}.{name}.bias").add_(change)


def _name_of(backbone: Backbone, module: nn.Module) -> str:
    names: dict[nn.Module, str] = {part: name for name, part in backbone.model.named_modules()}
    return names[module]
