"""A trial merged into its backbone: a plain transformer that needs neither Paretune nor peft.

Works where the trained change is a change of weights. Prompts, adapters and prefixes are not.
"""

import warnings
from pathlib import Path

import torch
from peft import PeftModel
from safetensors.torch import save_file
from torch import nn
from transformers import AutoModel, AutoTokenizer

from api_schemas.peft_methods import PROMPT_METHODS
from service import catalogue
from workers.artifacts import Classifier, load_classifier
from workers.errors import ArtifactError
from workers.hf_format import ADAPTER_CONFIGURATION
from workers.peft_methods.bitfit import named_changes

HEAD = "head.safetensors"
ANSWERS = "answers.json"
EXPECTED_WARNINGS = (
    ".*is_gradient_checkpointing",  # peft asks transformers for a property by its old name
    "Unsupported layer type",  # peft says so of every norm that it trains
    "Found missing adapter keys.*randlora",  # our files hold the shared projections once, not per layer
)


def export_merged(folder: Path, out: Path, *, models_dir: Path | None = None) -> Path:
    """Write the merged transformer of a saved trial to `out`, in float32, and give that path.

    `out` loads with `AutoModel.from_pretrained`; `head.safetensors` holds `weight` of shape (classes,
    hidden size) and `bias`, for the mean of the hidden states over the real tokens; `answers.json` what
    its outputs mean.

    Raises:
        ArtifactError: If the trial is damaged, or what it trained is no change of weights.
        service.errors.UnknownBackbone: If its backbone cannot be found.
    """
    classifier = load_classifier(folder, models_dir=models_dir)
    source = catalogue.backbone_directory(classifier.saved.configuration.backbone, models_dir=models_dir)
    model = AutoModel.from_pretrained(
        source, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    )
    merged = _merged(model, classifier, folder=folder)
    merged.save_pretrained(out)  # type: ignore[operator]  # transformers ships no types
    AutoTokenizer.from_pretrained(source, trust_remote_code=False).save_pretrained(out)
    head = {name: tensor.contiguous() for name, tensor in classifier.modules.head.state_dict().items()}
    save_file(head, out / HEAD)
    (out / ANSWERS).write_text(classifier.saved.answers.model_dump_json() + "\n", encoding="utf-8")
    return out


def _merged(model: nn.Module, classifier: Classifier, *, folder: Path) -> nn.Module:
    modules = classifier.modules
    if classifier.saved.configuration.quantisation is not None:
        raise ArtifactError("The backbone was quantised, and a merged one would not be: they would differ.")
    if modules.peft.method in PROMPT_METHODS:
        raise ArtifactError("Prompts stand in the text, not in the weights: they cannot be merged.")
    if (folder / ADAPTER_CONFIGURATION).is_file():
        with warnings.catch_warnings():
            for message in EXPECTED_WARNINGS:
                warnings.filterwarnings("ignore", message=message)
            merged: nn.Module = PeftModel.from_pretrained(model, folder).merge_and_unload()
        return merged
    kinds = {kind for methods in modules.layers.values() for kind, _ in methods.named_children()}
    if not kinds <= {"bitfit"}:
        raise ArtifactError(
            "Adapters and prefixes are new parts of the network, not changes of weights: they cannot be "
            "merged. Use load.py, or choose a trial of LoRA or of another method that changes weights."
        )
    names = {module: name for name, module in classifier.backbone.model.named_modules()}
    with torch.no_grad():
        for layer, methods in modules.layers.items():
            part = classifier.backbone.layers[int(layer)]
            for name, change in named_changes(methods.get_submodule("bitfit")).items():
                model.get_parameter(f"{names[part]}.{name}.bias").add_(change)
    return model
