"""What backbones exist, where their files lie, and the facts a study needs of them.

A backbone is a packaged one (`all-MiniLM-L6-v2`), a folder under the models directory
(`local:NAME`), or a repository of the Hugging Face hub (`ORGANISATION/NAME`). Reads configuration
files only; loads no weights, no torch, no transformers.
"""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import hf_hub_download, model_info, snapshot_download

from api_schemas.backbones import BackboneShape
from service.backbone_files import check_folder, check_names
from service.disk_space import refuse_if_full
from service.errors import UnknownBackbone
from service.hub import ANSWER_SECONDS, from_hub
from service.packaged_backbones import PACKAGED_BACKBONES, package_folders, packaged_directory

Downloaded = TypeVar("Downloaded")

HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
LOCAL_NAME = re.compile(r"^local:[\w-][\w.-]*$")
HUB_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt",
             "special_tokens_map.json", "*.model", "*.tiktoken")  # fmt: skip


SUPPORTED_FAMILIES = frozenset({
    "bert", "roberta", "xlm-roberta", "electra", "distilbert", "mpnet", "deberta-v2",
    "gpt2", "llama", "mistral", "qwen2", "qwen3", "t5",
})  # fmt: skip
"""The `model_type`s whose layers the workers know; a test holds this equal to what they know."""

# What families of configuration files call the same size, first hit wins.
LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
HIDDEN_SIZE = ("hidden_size", "n_embd", "dim", "d_model")
FFN_SIZE = ("intermediate_size", "n_inner", "hidden_dim", "d_ff")
HEADS = ("num_attention_heads", "n_head", "n_heads", "num_heads")
KEY_VALUE_HEADS = ("num_key_value_heads",)
HEAD_SIZE = ("head_dim", "d_kv", "attention_head_size")
MAX_POSITIONS = ("max_position_embeddings", "n_positions", "n_ctx")
PADDING = ("pad_token_id",)
# These number positions from behind the padding token's id: the first rows of the table serve no token.
POSITIONS_AFTER_PADDING = frozenset({"roberta", "xlm-roberta", "mpnet"})


def backbone_shape(name: str, *, models_dir: Path | None) -> BackboneShape:
    """Read the sizes of a backbone from its configuration file, and check what can be checked of the rest.

    Raises:
        UnknownBackbone: If it cannot be found, reached or understood.
        service.errors.DamagedBackbone: If its weights are damaged, or no safetensors.
    """
    try:
        shape = shape_from_configuration(_configuration(name, models_dir=models_dir))
    except (OSError, ValueError, KeyError, TypeError, ArithmeticError, RecursionError) as error:
        if isinstance(error, OSError):
            refuse_if_full(error)
        raise UnknownBackbone(
            f"The configuration of '{name}' gives no transformer shape ({type(error).__name__}: {error}). "
            "It needs layers, hidden size and heads under one of the usual names."
        ) from error
    if shape.model_type not in SUPPORTED_FAMILIES:
        raise UnknownBackbone(
            f"'{name}' is of the family '{shape.model_type}', to which modules cannot be attached yet. "
            f"These can: {', '.join(sorted(SUPPORTED_FAMILIES))}."
        )
    if LOCAL_NAME.match(name):
        check_folder(name, _local_directory(name, models_dir))
    elif HUB_NAME.match(name):
        check_names(name, _hub_names(name))
    return shape


def backbone_directory(name: str, *, models_dir: Path | None) -> Path:
    """Find the folder with configuration, weights and tokenizer; from the hub, download it.

    Raises:
        UnknownBackbone: If it cannot be found or reached.
        service.errors.DamagedBackbone: If its weights or its tokenizer cannot be loaded.
    """
    if name in PACKAGED_BACKBONES:
        return packaged_directory(name)
    if LOCAL_NAME.match(name):
        folder = _local_directory(name, models_dir)
    elif HUB_NAME.match(name):
        folder = _hub_directory(name)
    else:
        raise _no_such_backbone(name)
    check_folder(name, folder)
    return folder


def _no_such_backbone(name: str) -> UnknownBackbone:
    return UnknownBackbone(
        f"There is no backbone '{name}'. Packaged: {', '.join(PACKAGED_BACKBONES)}. A folder under the "
        "models directory is 'local:NAME'; a Hugging Face repository is 'ORGANISATION/NAME'."
    )


def shape_from_configuration(configuration: Mapping[str, Any]) -> BackboneShape:
    """Read the sizes from a configuration of any of the usual families.

    Raises:
        KeyError: If a size is missing.
        ValidationError: If a size is not a positive integer.
    """
    hidden_size = _size(configuration, HIDDEN_SIZE)
    heads = _size(configuration, HEADS)
    head_size = _size(configuration, HEAD_SIZE, default=hidden_size // heads)
    family = configuration["model_type"]
    unused = 1 + _size(configuration, PADDING, default=1) if family in POSITIONS_AFTER_PADDING else 0
    return BackboneShape(
        model_type=family,
        layers=_size(configuration, LAYERS),
        hidden_size=hidden_size,
        ffn_size=_size(configuration, FFN_SIZE, default=4 * hidden_size),
        query_size=heads * head_size,
        key_value_size=_size(configuration, KEY_VALUE_HEADS, default=heads) * head_size,
        max_positions=_size(configuration, MAX_POSITIONS, default=512) - unused,
    )


def _configuration(name: str, *, models_dir: Path | None) -> Mapping[str, Any]:
    packaged = PACKAGED_BACKBONES.get(name)
    if packaged is not None and packaged.configuration is not None:
        package_folders(name)  # that it is installed is known here, that it can be unpacked only later
        return packaged.configuration
    if packaged is not None:
        file = packaged_directory(name) / "config.json"
    elif HUB_NAME.match(name):
        file = Path(_from_hub(name, partial(_hub_configuration, name)))
    elif LOCAL_NAME.match(name):
        file = _local_directory(name, models_dir) / "config.json"
    else:
        raise _no_such_backbone(name)
    found = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError("config.json is no JSON object")
    return found


def _hub_configuration(name: str, local_files_only: bool) -> str:
    return str(hf_hub_download(name, "config.json", local_files_only=local_files_only))


def _hub_directory(name: str) -> Path:
    def download(local_files_only: bool) -> str:
        patterns = list(HUB_FILES)
        return str(snapshot_download(name, allow_patterns=patterns, local_files_only=local_files_only))

    return Path(_from_hub(name, download))


def _hub_names(name: str) -> list[str]:
    def listing(local_files_only: bool) -> list[str]:
        if local_files_only:
            folder = Path(snapshot_download(name, local_files_only=True))
            return [file.name for file in folder.iterdir()]
        return [file.rfilename for file in model_info(name, timeout=ANSWER_SECONDS).siblings or []]

    return _from_hub(name, listing)


def _size(configuration: Mapping[str, Any], names: tuple[str, ...], *, default: int | None = None) -> int:
    for name in names:
        if configuration.get(name) is not None:
            return int(configuration[name])
    if default is None:
        raise KeyError(names[0])
    return default


def _local_directory(name: str, models_dir: Path | None) -> Path:
    own_name = name.removeprefix("local:")
    if models_dir is None:
        raise UnknownBackbone(
            "No folder for local backbones is known here: set PARETUNE_MODELS_DIR to the one that holds "
            f"'{own_name}'."
        )
    folder = models_dir / own_name
    if not (folder / "config.json").is_file():
        raise UnknownBackbone(f"There is no config.json in '{folder.name}' under the models directory.")
    return folder


def _from_hub(name: str, download: Callable[[bool], Downloaded]) -> Downloaded:
    return from_hub(
        name,
        download,
        refusal=UnknownBackbone,
        instead="put the model under PARETUNE_MODELS_DIR and name it 'local:NAME'",
        missing="has no config.json, so it is no transformers model",
    )
