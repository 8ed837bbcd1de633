"""Trained tensors in the format of HF `peft`, beside our own: for `PeftModel.from_pretrained`.

The hidden states are then those of the trial; the head stays in our own file. Written wherever peft
has the method: its own methods, and our `lora` where nothing else is trained.
"""

import copy
from collections import Counter
from pathlib import Path

import torch
from peft import LoraConfig, PeftConfig
from torch import Tensor, nn

from workers.backbones.loading import Backbone, Projection
from workers.peft_methods import TrialModules
from workers.peft_methods.hf_layers import FEATURES, HfLayers
from workers.peft_methods.lora import LowRank
from workers.peft_methods.prompts import Prompt
from workers.saving.tensor_files import write_tensors

ADAPTER_CONFIGURATION = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"


def save_peft_format(modules: TrialModules, folder: Path, *, backbone: Backbone) -> tuple[str, ...]:
    """Write the two files of peft's format, if peft has the method, and return their names."""
    converted = _converted(modules, backbone)
    if converted is None:
        return ()
    configuration, tensors = converted
    configuration = copy.deepcopy(configuration)
    configuration.inference_mode = True
    for field in ("target_modules", "feedforward_modules"):
        if getattr(configuration, field, None):
            setattr(configuration, field, sorted(getattr(configuration, field)))
    configuration.save_pretrained(folder)
    write_tensors(tensors, folder / ADAPTER_WEIGHTS, metadata={"format": "pt"})
    return ADAPTER_CONFIGURATION, ADAPTER_WEIGHTS


def _converted(modules: TrialModules, backbone: Backbone) -> tuple[PeftConfig, dict[str, Tensor]] | None:
    trained = modules.library
    if isinstance(trained, Prompt):
        with torch.no_grad():
            return trained.configuration, {"prompt_embeddings": trained()}
    if isinstance(trained, HfLayers):
        return trained.method.saved(trained)
    return _own_lora(modules, backbone)


def _own_lora(modules: TrialModules, backbone: Backbone) -> tuple[PeftConfig, dict[str, Tensor]] | None:
    if {name for methods in modules.layers.values() for name, _ in methods.named_children()} != {"lora"}:
        return None
    names = {module: name for name, module in backbone.model.named_modules()}
    # Several roles may be columns of one module, as in GPT-2: peft knows that module only.
    updates: dict[str, list[tuple[Projection, LowRank]]] = {}
    for layer, methods in modules.layers.items():
        for role, update in _projections(methods).items():
            projection = backbone.projection(int(layer), role)
            updates.setdefault(names[projection.module], []).append((projection, update))
    ranks = {name: sum(len(update.A) for _, update in parts) for name, parts in updates.items()}
    [(rank, _)] = Counter(ranks.values()).most_common(1)
    configuration = LoraConfig(
        r=rank,
        lora_alpha=modules.peft.lora.alpha,
        rank_pattern={name: other for name, other in ranks.items() if other != rank},
        target_modules=sorted(updates),
        fan_in_fan_out=any(part.transposed for parts in updates.values() for part, _ in parts),
        task_type=FEATURES,
        base_model_name_or_path=backbone.hub_repository,
    )
    tensors: dict[str, Tensor] = {}
    for name, parts in updates.items():
        # peft scales by alpha / rank of the whole, we by alpha / rank of each part.
        columns = [
            projection.widened(update.B.T).T * (ranks[name] / len(update.A)) for projection, update in parts
        ]
        tensors[f"base_model.model.{name}.lora_A.weight"] = torch.cat([update.A for _, update in parts])
        tensors[f"base_model.model.{name}.lora_B.weight"] = torch.cat(columns, dim=1)
    return configuration, tensors


def _projections(methods: nn.Module) -> dict[str, LowRank]:
    return {
        role: update
        for role, update in methods.get_submodule("lora").named_children()
        if isinstance(update, LowRank)
    }
