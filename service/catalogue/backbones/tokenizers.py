"""Whether a tokenizer's files give tokens that the embedding knows. Loads no transformers.

Only ids are looked at. A tokenizer that is a sentencepiece model alone is read by the worker, who asks the
same of what transformers makes of it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from service.catalogue.backbones.files import json_object
from service.errors import DamagedBackbone

TOKENIZER = "tokenizer.json"
ADDED = "added_tokens.json"
UNIGRAM = "Unigram"
NEED_UNKNOWN = ("WordLevel", "WordPiece")
"""Models that have nothing else to make of what they do not know, as letters or bytes."""
SETTINGS = ("tokenizer_config.json", "special_tokens_map.json")
FURTHER = ("additional_special_tokens", "extra_special_tokens")
SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


def check_tokenizer(name: str, folder: Path, *, rows: int) -> None:
    """Refuse a tokenizer that gives a token an id beyond the embedding of so many rows.

    Raises:
        DamagedBackbone: If it does, or one of its files is damaged.
    """
    check_ids(name, _ids(name, folder), rows=rows)


def check_ids(name: str, ids: Mapping[str, int], *, rows: int) -> None:
    """Refuse ids of tokens beyond an embedding of so many rows.

    Raises:
        DamagedBackbone: If there are some.
    """
    beyond = {token: number for token, number in ids.items() if number >= rows}
    if beyond:
        token = min(beyond, key=lambda token: beyond[token])
        raise DamagedBackbone(
            f"The tokenizer of '{name}' gives {len(beyond)} tokens ids that the embedding of {rows:,} rows "
            f"does not have, {token!r:.60} among them ({beyond[token]:,}). Call "
            "model.resize_token_embeddings(len(tokenizer)) and save both again, or take the tokens out."
        )


def _ids(name: str, folder: Path) -> dict[str, int]:
    found: dict[str, int] = {}
    put_around: dict[str, int] = {}
    if (folder / TOKENIZER).is_file():
        content = json_object(name, folder / TOKENIZER)
        if not isinstance(content.get("model"), dict):
            raise DamagedBackbone(f"The {TOKENIZER} of '{name}' is damaged. Get it again.")
        found.update(_vocabulary(name, content["model"]))
        found.update(_added(content.get("added_tokens")))
        put_around = dict(_put_around(content.get("post_processor")))
    elif (folder / "vocab.json").is_file():
        found.update(_numbered(json_object(name, folder / "vocab.json")))
    elif (folder / "vocab.txt").is_file():
        with (folder / "vocab.txt").open(encoding="utf-8", errors="replace") as lines:
            found.update((line.rstrip("\n"), number) for number, line in enumerate(lines))
    if (folder / ADDED).is_file():
        found.update(_numbered(json_object(name, folder / ADDED)))
    settings = [json_object(name, folder / file) for file in SETTINGS if (folder / file).is_file()]
    for entry in settings:
        found.update(_decoded(entry.get("added_tokens_decoder")))
    if found:
        # What is named but has no id yet gets the next one when the tokenizer is loaded.
        unknown = (token for entry in settings for token in _named(entry) if token not in found)
        found.update(zip(dict.fromkeys(unknown), range(max(found.values()) + 1, 2**62), strict=False))
    # Whatever the vocabulary calls them: these are the numbers that every text gets.
    return found | {token: max(number, found.get(token, 0)) for token, number in put_around.items()}


def _vocabulary(name: str, model: Mapping[str, Any]) -> dict[str, int]:
    """Return the tokens of a tokenizer's model.

    Raises:
        DamagedBackbone: If they have no ids, or the one for unknown words is not among them.
    """
    vocabulary, unknown = model.get("vocab"), model.get("unk_token")
    ids = vocabulary.values() if isinstance(vocabulary, dict) else ()
    unread = [found for found in ids if isinstance(found, bool) or not isinstance(found, int) or found < 0]
    pieces = isinstance(vocabulary, list) and model.get("type") in (UNIGRAM, None)
    if unread or not vocabulary or not (pieces or isinstance(vocabulary, dict)):
        raise DamagedBackbone(f"The vocabulary in {TOKENIZER} of '{name}' is damaged. Get it again.")
    if model.get("type") in NEED_UNKNOWN and isinstance(unknown, str) and unknown not in vocabulary:
        raise DamagedBackbone(
            f"The tokenizer of '{name}' has no id for {unknown!r:.60}, its token for unknown words, so texts "
            "with such words cannot be read. Add it to the vocabulary and save the tokenizer again."
        )
    return _numbered(vocabulary)


def _put_around(processor: Any) -> Iterator[tuple[str, int]]:
    """Yield the tokens with ids of their own that are put before and behind each text."""
    if not isinstance(processor, dict):
        return
    for part in _listed(processor.get("processors")):
        yield from _put_around(part)
    for pair in (_listed(processor.get("cls")), _listed(processor.get("sep"))):
        if len(pair) == 2 and isinstance(pair[1], int):
            yield str(pair[0]), pair[1]
    special = processor.get("special_tokens")
    for token, entry in special.items() if isinstance(special, dict) else ():
        ids = _listed(entry.get("ids")) if isinstance(entry, dict) else []
        yield from ((str(token), number) for number in ids if isinstance(number, int))


def _listed(found: Any) -> list[Any]:
    return found if isinstance(found, list) else []


def _numbered(vocabulary: Any) -> dict[str, int]:
    if isinstance(vocabulary, dict):
        return {token: number for token, number in vocabulary.items() if isinstance(number, int)}
    if isinstance(vocabulary, list):  # of a unigram model: pieces with their scores
        pieces = (piece[0] if isinstance(piece, list) and piece else piece for piece in vocabulary)
        return {str(piece): number for number, piece in enumerate(pieces)}
    return {}


def _added(tokens: Any) -> dict[str, int]:
    entries = [entry for entry in tokens if isinstance(entry, dict)] if isinstance(tokens, list) else []
    return {str(entry.get("content")): entry["id"] for entry in entries if isinstance(entry.get("id"), int)}


def _decoded(tokens: Any) -> dict[str, int]:
    if not isinstance(tokens, dict):
        return {}
    return {
        str(entry.get("content")): int(number)
        for number, entry in tokens.items()
        if isinstance(entry, dict) and number.isascii() and number.isdigit() and len(number) < 18
    }


def _named(settings: Mapping[str, Any]) -> Iterator[str]:
    further = [settings.get(key) for key in FURTHER]
    listed = [
        item for entry in further for item in (entry.values() if isinstance(entry, dict) else _listed(entry))
    ]
    for entry in (*(settings.get(key) for key in SPECIAL), *listed):
        token = entry.get("content") if isinstance(entry, dict) else entry
        if isinstance(token, str):
            yield token
