"""Whether a folder holds a transformer that can be loaded, as far as its headers tell. Loads no weights.

A safetensors file begins with the length of its header, eight bytes, and the header: JSON that says
where each tensor lies. So a file that was cut short is found without reading the tensors.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from service.errors import DamagedBackbone

CONFIGURATION = "config.json"
WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.h5", "*.msgpack")
TOKENIZERS = ("tokenizer.json", "vocab.*", "*.model", "*.tiktoken")
LENGTH_BYTES = 8
LONGEST_HEADER = 100_000_000


@dataclass(frozen=True)
class StoredTensor:
    """What a header says of a tensor: the name of its number type, its shape, its bytes in the file."""

    dtype: str
    shape: tuple[int, ...]
    size_bytes: int


def check_names(name: str, files: Iterable[str]) -> None:
    """Refuse a backbone whose files are not those of a transformer in safetensors.

    Raises:
        DamagedBackbone: If there are no weights in safetensors, or no tokenizer.
    """
    files = set(files)
    if not files & {WEIGHTS, INDEX}:
        pickled = sorted(file for file in files if _fits(file, PICKLES))
        if pickled:
            raise DamagedBackbone(
                f"'{name}' has its weights as pickle only ({pickled[0]}); such a file can run any "
                "code when it is loaded, so none is ever loaded here. Save the model as safetensors."
            )
        raise DamagedBackbone(f"'{name}' has no {WEIGHTS}. Save the model with save_pretrained.")
    if not any(_fits(file, TOKENIZERS) for file in files):
        raise DamagedBackbone(f"'{name}' has no tokenizer. Save it beside the model with save_pretrained.")


def stored_tensors(name: str, folder: Path) -> Mapping[str, StoredTensor]:
    """Read from the headers what tensors a folder's weights hold.

    Raises:
        DamagedBackbone: If a file is missing or damaged, or a shard lacks what the index says is in it.
    """
    if (folder / WEIGHTS).is_file():  # as transformers does: one file if there is one
        return _tensors_of(name, folder / WEIGHTS)
    shards = json_object(name, folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise DamagedBackbone(f"The {INDEX} of '{name}' is damaged. Get it again.")
    if not all(isinstance(file, str) and file == Path(file).name for file in shards.values()):
        raise DamagedBackbone(f"The {INDEX} of '{name}' is damaged. Get it again.")
    found = {file: _tensors_of(name, folder / file) for file in sorted(set(shards.values()))}
    for tensor, file in shards.items():
        if tensor not in found[file]:
            raise DamagedBackbone(
                f"{file} of '{name}' lacks '{tensor}', which the index says is there. Get both again."
            )
    return {tensor: found[file][tensor] for tensor, file in shards.items()}


def json_object(name: str, file: Path) -> dict[str, Any]:
    """Read a JSON file of a backbone; what is no object counts as an empty one.

    Raises:
        DamagedBackbone: If it cannot be read.
    """
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedBackbone(f"The {file.name} of '{name}' is damaged ({error}). Get it again.") from error
    return found if isinstance(found, dict) else {}


def _tensors_of(name: str, file: Path) -> dict[str, StoredTensor]:
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            header = json.loads(opened.read(length)) if length <= min(size, LONGEST_HEADER) else None
    except FileNotFoundError as error:
        raise DamagedBackbone(f"'{name}' lacks {file.name}, which its index names. Get it again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedBackbone(f"{file.name} of '{name}' cannot be read ({error}). Get it again.") from error
    tensors, end = _listed(header)
    if LENGTH_BYTES + length + end != size:
        raise DamagedBackbone(
            f"{file.name} of '{name}' is damaged: it has {size:,} bytes, which does not fit its header. "
            "Get it again."
        )
    return tensors


def _listed(header: Any) -> tuple[dict[str, StoredTensor], int]:
    """Return the tensors of a header and where the last one ends; -1 if it is no header."""
    if not isinstance(header, dict):
        return {}, -1
    found: dict[str, StoredTensor] = {}
    last = -1
    try:
        for tensor, entry in header.items():
            if tensor == "__metadata__":
                continue
            begin, end = map(int, entry["data_offsets"])
            shape = tuple(map(int, entry["shape"]))
            if not 0 <= begin <= end or min(shape, default=0) < 0 or (math.prod(shape) > 0) != (end > begin):
                return {}, -1
            found[tensor] = StoredTensor(str(entry["dtype"]), shape, end - begin)
            last = max(last, end)
    except (KeyError, IndexError, TypeError, ValueError):
        return {}, -1
    return found, last


def _fits(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)
