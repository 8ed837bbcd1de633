"""What backbones exist, where their files lie, and the facts a study needs of them.

A backbone is a packaged one (`all-MiniLM-L6-v2`), a folder under the models directory
(`local:NAME`), or a repository of the Hugging Face hub (`ORGANISATION/NAME`). Reads configuration
files only; loads no weights, no torch, no transformers.
"""

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from huggingface_hub import hf_hub_download, model_info, snapshot_download

from api_schemas.backbones import BackboneShape
from service.catalogue.backbones.checkpoints import Checkpoint, read_checkpoint, read_configuration
from service.catalogue.backbones.files import CONFIGURATION, check_names, json_object
from service.catalogue.backbones.packaged import PACKAGED_BACKBONES, package_folders, packaged_directory
from service.catalogue.backbones.shapes import shape_from_configuration as shape_from_configuration
from service.catalogue.hub import ANSWER_SECONDS, from_hub
from service.errors import DamagedBackbone, UnknownBackbone

Downloaded = TypeVar("Downloaded")

HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*/[\w.-]+$")
LOCAL_NAME = re.compile(r"^local:[\w-][\w.-]*$")
HUB_FILES = ("config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*", "vocab*", "merges.txt",
             "special_tokens_map.json", "added_tokens.json", "*.model", "*.tiktoken")  # fmt: skip


def backbone_shape(name: str, *, models_dir: Path | None) -> BackboneShape:
    """Read the sizes of a backbone, and check what can be checked of the rest; see `checkpoint`."""
    return checkpoint(name, models_dir=models_dir).shape


def checkpoint(name: str, *, models_dir: Path | None) -> Checkpoint:
    """Read what a backbone is: of a hub repository its configuration and the names of its files alone.

    Raises:
        UnknownBackbone: If it cannot be found, reached or understood.
        service.errors.DamagedBackbone: If its weights or its tokenizer are damaged, or do not fit.
    """
    if LOCAL_NAME.match(name):
        return read_checkpoint(name, _local_directory(name, models_dir))
    found = read_configuration(name, _configuration(name))
    if HUB_NAME.match(name):
        check_names(name, _hub_names(name))
    return found


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
    try:
        read_checkpoint(name, folder)
    except UnknownBackbone as error:  # that it exists is known by now
        raise DamagedBackbone(error.detail) from error
    return folder


def _no_such_backbone(name: str) -> UnknownBackbone:
    return UnknownBackbone(
        f"There is no backbone '{name}'. Packaged: {', '.join(PACKAGED_BACKBONES)}. A folder under the "
        "models directory is 'local:NAME'; a Hugging Face repository is 'ORGANISATION/NAME'."
    )


def _configuration(name: str) -> Mapping[str, Any]:
    packaged = PACKAGED_BACKBONES.get(name)
    if packaged is not None and packaged.configuration is not None:
        package_folders(name)  # that it is installed is known here, that it can be unpacked only later
        return packaged.configuration
    if packaged is not None:
        file = packaged_directory(name) / CONFIGURATION
    elif HUB_NAME.match(name):
        file = Path(
            _from_hub(name, lambda local: hf_hub_download(name, CONFIGURATION, local_files_only=local))
        )
    else:
        raise _no_such_backbone(name)
    return json_object(name, file)


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
