"""Load a frozen transformer and name the places in it where PEFT modules attach.

A family is a row of `FAMILIES`: attribute paths from a layer to its parts. Knows nothing about
what will be attached.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer
from transformers.utils import logging as transformers_logging

from api_schemas.backbones import BackboneShape
from service import catalogue
from workers.errors import UnsupportedBackbone

# Its bars would fill the worker's log and the output of whoever loads an exported trial.
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class LayerPaths:
    """Where a family keeps the parts of a layer, as attribute paths from the layer.

    `ffn_input` is the module whose input the parallel adapter reads; `ffn_output` the module whose
    output both adapters add to.
    """

    attention: str
    query: str
    key: str
    value: str
    attention_output: str
    ffn_in: str
    ffn_out: str
    ffn_input: str
    ffn_output: str


_BERT = LayerPaths(
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    ffn_in="intermediate.dense",
    ffn_out="output.dense",
    ffn_input="intermediate",
    ffn_output="output.dense",
)
_LLAMA = LayerPaths(
    attention="self_attn",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    attention_output="self_attn.o_proj",
    ffn_in="mlp.up_proj",
    ffn_out="mlp.down_proj",
    ffn_input="mlp",
    ffn_output="mlp",
)
FAMILIES: Mapping[str, LayerPaths] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": _LLAMA,
}
LAYER_LISTS = ("encoder.layer", "layers")


@dataclass(frozen=True)
class Backbone:
    """A frozen transformer with its tokenizer, its shape and its layers.

    `layer_list` is the model's own list, which a caller may cut short for a call; `layers` stays whole.
    """

    name: str
    model: nn.Module
    tokenizer: Any
    shape: BackboneShape
    layer_list: nn.ModuleList
    layers: tuple[nn.Module, ...]
    paths: LayerPaths
    device: torch.device

    def part(self, layer: int, role: str) -> nn.Module:
        """Give the module that plays a role in a layer."""
        return self.layers[layer].get_submodule(getattr(self.paths, role))


def load_backbone(name: str, *, models_dir: Path | None, device: torch.device) -> Backbone:
    """Load a backbone by its catalogue name, frozen, in the precision that the device does best.

    Raises:
        service.errors.UnknownBackbone: If it cannot be found or reached.
        UnsupportedBackbone: If its family is not in `FAMILIES`.
    """
    folder = catalogue.backbone_directory(name, models_dir=models_dir)
    model = AutoModel.from_pretrained(
        folder,
        dtype=frozen_dtype(device),
        attn_implementation="sdpa",
        trust_remote_code=False,
        use_safetensors=True,
    )
    tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token_id is None:
        # Decoders often have none. Padding is masked everywhere, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token
    return freeze(model, tokenizer, name=name, device=device)


def freeze(model: nn.Module, tokenizer: Any, *, name: str, device: torch.device) -> Backbone:
    """Freeze a loaded transformer and find its layers.

    It stays in evaluation mode while modules train: its dropout would only add noise, and its
    activations below the first active layer are then the same in every epoch.

    Raises:
        UnsupportedBackbone: If its family is not in `FAMILIES`.
    """
    configuration = model.config.to_dict()  # type: ignore[union-attr,operator]  # transformers ships no types
    family = configuration["model_type"]
    if family not in FAMILIES:
        raise UnsupportedBackbone(
            f"Modules cannot be attached to '{family}' yet; these families can: {', '.join(FAMILIES)}."
        )
    model.requires_grad_(requires_grad=False)
    model.eval().to(device)
    layer_list = _layer_list(model)
    return Backbone(
        name=name,
        model=model,
        tokenizer=tokenizer,
        shape=catalogue.shape_from_configuration(configuration),
        layer_list=layer_list,
        layers=tuple(layer_list),
        paths=FAMILIES[family],
        device=device,
    )


def frozen_dtype(device: torch.device) -> torch.dtype:
    """Choose the precision of the frozen weights: bfloat16 where the device multiplies it natively."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    # Without AVX512-BF16 or AMX a CPU emulates bfloat16, which is slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def _layer_list(model: nn.Module) -> nn.ModuleList:
    for path in LAYER_LISTS:
        with suppress(AttributeError):
            found = model.get_submodule(path)
            if isinstance(found, nn.ModuleList):
                return found
    raise UnsupportedBackbone("The transformer keeps its layers in no list that is known here.")
