"""Whether a folder holds a transformer that can be loaded, as far as its headers tell. Loads no weights.

A safetensors file begins with the length of its header, eight bytes, and the header: JSON that says
where each tensor lies. So a file that was cut short is found without reading the tensors.
"""

import json
from collections.abc import Iterable
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


def check_folder(name: str, folder: Path) -> None:
    """Refuse a folder whose weights or tokenizer are missing or damaged.

    Raises:
        DamagedBackbone: If they are.
    """
    check_names(name, (file.name for file in folder.iterdir()))
    for file in _weight_files(name, folder):
        _check_weights(name, file)
    tokenizer = folder / "tokenizer.json"
    if tokenizer.is_file() and not isinstance(_json(name, tokenizer).get("model"), dict):
        raise DamagedBackbone(f"The tokenizer.json of '{name}' is damaged. Get it again.")


def _weight_files(name: str, folder: Path) -> list[Path]:
    # As transformers does: one file if there is one, else those that the index lists.
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    shards = _json(name, folder / INDEX).get("weight_map")
    if not isinstance(shards, dict) or not shards:
        raise DamagedBackbone(f"The {INDEX} of '{name}' is damaged. Get it again.")
    return [folder / Path(str(shard)).name for shard in sorted(set(map(str, shards.values())))]


def _check_weights(name: str, file: Path) -> None:
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(LENGTH_BYTES), "little")
            header = json.loads(opened.read(length)) if length <= min(size, LONGEST_HEADER) else None
    except FileNotFoundError as error:
        raise DamagedBackbone(f"'{name}' lacks {file.name}, which its index names. Get it again.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedBackbone(f"{file.name} of '{name}' cannot be read ({error}). Get it again.") from error
    expected = LENGTH_BYTES + length + _tensor_bytes(header)
    if expected != size:
        raise DamagedBackbone(
            f"{file.name} of '{name}' is damaged: it has {size:,} bytes, which does not fit its header. "
            "Get it again."
        )


def _tensor_bytes(header: Any) -> int:
    if not isinstance(header, dict):
        return -1
    entries = [entry for key, entry in header.items() if key != "__metadata__"]
    try:
        return max((int(entry["data_offsets"][1]) for entry in entries), default=-1)
    except (KeyError, IndexError, TypeError, ValueError):
        return -1


def _json(name: str, file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedBackbone(f"The {file.name} of '{name}' is damaged ({error}). Get it again.") from error
    return found if isinstance(found, dict) else {}


def _fits(file: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(file, pattern) for pattern in patterns)
