"""Load a frozen transformer and name the places in it where PEFT modules attach.

Knows nothing about what will be attached.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import StrictDataclassError
from jaxtyping import Float
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional
from transformers import AutoConfig, AutoTokenizer
from transformers.pytorch_utils import Conv1D
from transformers.utils import logging as transformers_logging

from api_schemas.backbones import BackboneShape, hub_repository
from api_schemas.model_families import FAMILIES, LAYER_LISTS, LayerPaths, parts_of
from api_schemas.trial_configuration import Quantisation
from service.catalogue.backbones import by_name
from service.catalogue.backbones.checkpoints import read_configuration
from service.catalogue.backbones.files import CONFIGURATION, json_object
from service.catalogue.backbones.packaged import PACKAGED_BACKBONES
from service.catalogue.backbones.shapes import shape_from_configuration
from service.catalogue.backbones.tokenizers import check_ids
from service.catalogue.backbones.weights import layer_of
from service.errors import DamagedBackbone
from workers.architecture.sub_network import SubNetwork
from workers.backbones.gguf_conversion import converted_directory
from workers.backbones.quantisation import as_stored, gpu_dtype, quantised, stay_differentiable
from workers.errors import UnsupportedBackbone, is_out_of_memory
from workers.spans import tracer

CANNOT_BE_LOADED = (
    OSError, ValueError, LookupError, TypeError, AttributeError, AssertionError, ImportError, RuntimeError,
    SafetensorError, StrictDataclassError,
)  # fmt: skip
"""What transformers raises for files that it cannot load."""

BUFFERS_OF_BEFORE = (".attn.bias", ".attn.masked_bias", ".rotary_emb.inv_freq")
"""Buffers that older versions of transformers saved although they are computed."""

# Its bars would fill the worker's log and the output of a program that loads an exported trial.
transformers_logging.disable_progress_bar()


@dataclass(frozen=True)
class Projection:
    """A linear map inside a layer: a module, or a block of the columns that a module puts out."""

    module: nn.Module
    inputs: int
    outputs: int
    module_outputs: int
    start: int
    transposed: bool
    """Whether the module keeps its weight as (inputs, outputs), as GPT-2 does."""

    def widened(self, change: Float[Tensor, "... o"]) -> Float[Tensor, "... m"]:
        """Put zeros beside a change of this map's output, so that it fits the module's output."""
        if self.outputs == self.module_outputs:
            return change
        return functional.pad(change, (self.start, self.module_outputs - self.start - self.outputs))

    @property
    def weight(self) -> Float[Tensor, "o i"]:
        """A view of the weight of this map alone."""
        weight = self.module.get_parameter("weight")
        return (weight.T if self.transposed else weight)[self.start : self.start + self.outputs]


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
    sub_network: SubNetwork | None = None
    """What it keeps of the backbone of its name; None if it is that backbone."""
    refitted: Mapping[str, Tensor] = field(default_factory=dict)
    """Weights of narrower blocks that are not the backbone's (`workers.architecture.refitting`)."""

    @property
    def hub_repository(self) -> str | None:
        """The repository of the Hugging Face hub that holds this very network; None if there is none."""
        return None if self.sub_network else hub_repository(self.name)

    def part(self, layer: int, role: str) -> nn.Module:
        """Return the module that plays a role in a layer."""
        return self.layers[layer].get_submodule(getattr(self.paths, role))

    def projection(self, layer: int, role: str) -> Projection:
        """Return the linear map that plays a role in a layer.

        Raises:
            UnsupportedBackbone: If the module of this role is no plain linear map.
        """
        module = self.part(layer, role)
        transposed = isinstance(module, Conv1D)
        if transposed:
            inputs, module_outputs = module.get_parameter("weight").shape
        elif isinstance(module, nn.Linear):
            inputs, module_outputs = module.in_features, module.out_features
        else:
            raise UnsupportedBackbone(
                f"The {role} of '{self.name}' is no linear projection, so it takes no low-rank update. "
                "Leave it out of the targets."
            )
        fused = role in self.paths.fused
        outputs = module_outputs // len(self.paths.fused) if fused else module_outputs
        return Projection(
            module=module,
            inputs=inputs,
            outputs=outputs,
            module_outputs=module_outputs,
            start=self.paths.fused.index(role) * outputs if fused else 0,
            transposed=transposed,
        )


@tracer.start_as_current_span("load")
def load_backbone(
    name: str, *, models_dir: Path | None, device: torch.device, quantisation: Quantisation | None = None
) -> Backbone:
    """Load a backbone by its catalogue name, frozen, in the precision that the device does best.

    Raises:
        service.errors.UnknownBackbone: If it cannot be found or reached.
        UnsupportedBackbone: If its family is not in `FAMILIES`, its files are damaged, or it cannot be
            quantised here.
    """
    folder = backbone_folder(name, models_dir=models_dir)
    own = own_bits(name, folder)
    if own is not None and quantisation is not None:
        raise UnsupportedBackbone(
            f"The files of '{name}' are quantised already ({own}); leave 'quantisation' out."
        )
    how = {} if quantisation is None else quantised(quantisation, device=device)
    if own is not None:
        how = as_stored(own, device=device)
    try:
        model = whole_network(name, folder, dtype=frozen_dtype(device), **how)
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    except CANNOT_BE_LOADED as error:
        if is_out_of_memory(error):
            raise
        raise UnsupportedBackbone(
            f"The files of '{name}' cannot be loaded ({type(error).__name__}: {error}). Get them again."[
                :1000
            ]
        ) from error
    _check_tokens(name, tokenizer, model)
    return freeze(model, tokenizer, name=name, device=device)


def own_bits(name: str, folder: Path) -> Quantisation | None:
    """Return in how many bits the files of a backbone keep its linear maps; None for whole weights."""
    if name in PACKAGED_BACKBONES:
        return None
    return read_configuration(name, json_object(name, folder / CONFIGURATION)).quantised


def _check_tokens(name: str, tokenizer: Any, model: nn.Module) -> None:
    """Refuse ids that the embedding does not know, and give a padding token to those that have none."""
    embedding = model.get_input_embeddings()  # type: ignore[operator]  # transformers ships no types
    try:
        check_ids(name, tokenizer.get_vocab(), rows=embedding.num_embeddings)
    except DamagedBackbone as error:
        raise UnsupportedBackbone(error.detail) from error
    if tokenizer.pad_token_id is None:
        # Decoders often have none. Padding is masked everywhere, so any token will do.
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.convert_ids_to_tokens(0)


def backbone_folder(name: str, *, models_dir: Path | None) -> Path:
    """Find the folder from which transformers loads a backbone.

    Raises:
        service.errors.UnknownBackbone: If it cannot be found or reached.
        UnsupportedBackbone: If its files are damaged.
    """
    try:
        folder = by_name.backbone_directory(name, models_dir=models_dir)
    except DamagedBackbone as error:
        raise UnsupportedBackbone(error.detail) from error
    gguf_file = PACKAGED_BACKBONES[name].gguf_file if name in PACKAGED_BACKBONES else None
    return folder if gguf_file is None else converted_directory(name, folder / gguf_file)


def freeze(model: nn.Module, tokenizer: Any, *, name: str, device: torch.device) -> Backbone:
    """Freeze a loaded transformer and find its layers.

    It stays in evaluation mode while modules train: its dropout would only add noise, and its
    activations below the first active layer are then the same in every epoch.

    Raises:
        UnsupportedBackbone: If its family is not in `FAMILIES`, or its layers are built otherwise.
    """
    configuration = model.config.to_dict()  # type: ignore[union-attr,operator]  # transformers ships no types
    family = configuration["model_type"]
    if family not in FAMILIES:
        raise UnsupportedBackbone(
            f"Modules cannot be attached to '{family}' yet; these families can: {', '.join(FAMILIES)}."
        )
    model.requires_grad_(requires_grad=False)
    model.eval()
    if getattr(model, "is_quantized", False):  # it was put on its device while it was loaded
        stay_differentiable(model)
    else:
        model.to(device)
    layer_list = layer_list_of(model)
    return Backbone(
        name=name,
        model=model,
        tokenizer=tokenizer,
        shape=shape_from_configuration(configuration, name=name),
        layer_list=layer_list,
        layers=tuple(layer_list),
        paths=paths_of(layer_list[0], family=family),
        device=device,
    )


def frozen_dtype(device: torch.device) -> torch.dtype:
    """Choose the precision of the frozen weights: bfloat16 where the device multiplies it natively."""
    if device.type == "cuda":
        return gpu_dtype()
    # Without AVX512-BF16 or AMX a CPU emulates bfloat16, which is slower than float32.
    native = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    return torch.bfloat16 if native else torch.float32


def whole_network(name: str, folder: Path, *, dtype: torch.dtype, **how: Any) -> nn.Module:
    """Load a transformer with the tensors of its files and no others; `how` goes to `from_pretrained`.

    Raises:
        UnsupportedBackbone: If tensors are missing, of another shape, or would be left out.
    """
    configuration = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    load = partial(
        model_class(configuration.model_type).from_pretrained,
        folder,
        dtype=dtype,
        trust_remote_code=False,
        use_safetensors=True,
        output_loading_info=True,
        ignore_mismatched_sizes=True,  # reported below, in a sentence
        **how,
    )
    # SDPA where a family has it, eager attention where it does not.
    model, report = load()
    if any("pooler" in key for key in report["missing_keys"]):
        # Its weights would be random, and nothing here reads it.
        model, report = load(add_pooling_layer=False)
    # transformers gives random values to what a file lacks.
    unfit = [*sorted(map(str, report["missing_keys"])), *(str(key[0]) for key in report["mismatched_keys"])]
    if unfit:
        raise UnsupportedBackbone(
            f"The weights of '{name}' do not fit its config.json: {len(unfit)} tensors are missing or of "
            f"another shape, '{unfit[0]}' among them. Get both files from the same place."
        )
    loaded: nn.Module = model
    layers = len(layer_list_of(loaded))
    unread = sorted(key for key in report["unexpected_keys"] if _is_unread(key, layers))
    if unread:
        raise UnsupportedBackbone(
            f"The layers of '{name}' have {len(unread)} tensors that its config.json does not speak of, "
            f"'{unread[0]}' among them: without them it would be another network. Get both files from the "
            "same place."
        )
    return loaded


def model_class(family: str) -> Any:
    """Return the class of transformers that loads a family."""
    return getattr(transformers, FAMILIES[family].model_class if family in FAMILIES else "AutoModel")


def _is_unread(tensor: str, layers: int) -> bool:
    layer = layer_of(tensor)
    return layer is not None and layer < layers and not tensor.endswith(BUFFERS_OF_BEFORE)


def layer_list_of(model: nn.Module) -> nn.ModuleList:
    """Return the list in which a transformer keeps its layers.

    Raises:
        UnsupportedBackbone: If it is at none of the places that are known here.
    """
    for path in LAYER_LISTS:
        try:
            layers = model.get_submodule(path)
        except AttributeError:
            continue
        if isinstance(layers, nn.ModuleList):
            return layers
    raise UnsupportedBackbone("The transformer keeps its layers in no list that is known here.")


def paths_of(layer: nn.Module, *, family: str) -> LayerPaths:
    """Return where a family keeps the parts of this layer.

    Raises:
        UnsupportedBackbone: If it is built otherwise than the family's usually are.
    """
    names = {name for name, _ in layer.named_modules()}
    for paths in FAMILIES[family].layer:
        if names.issuperset(parts_of(paths)):
            return paths
    raise UnsupportedBackbone(
        f"The layers of this '{family}' are not built as the family's usually are. Use another backbone."
    )
