"""A tokenizer whose ids do not fit its network is refused at the door, however it is written down."""

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken
from transformers import AutoTokenizer

from service.errors import DamagedBackbone
from tests.service.catalogue.backbones.conftest import read, refused


def add_token(folder: Path, number_of_tokens: int = 1, **kinds: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([AddedToken(f"<extra{at}>") for at in range(number_of_tokens)])
    tokenizer.add_special_tokens(kinds)
    tokenizer.save_pretrained(folder)


def test_a_token_beyond_the_embedding_is_refused(bert: Path) -> None:
    """The eight words and 42 more fit 50 rows, the next one does not."""
    add_token(bert, 42)
    assert read(bert).shape.layers == 3
    add_token(bert, 43)
    refused(
        bert, r"tokenizer of 'local:mine' gives 1 tokens ids .* 50 rows.*'<extra42>' .*\(50\).*resize_token"
    )


def test_a_padding_token_beyond_the_embedding_is_refused(bert: Path) -> None:
    """The commonest of them: added to a decoder that had none."""
    add_token(bert, 42, pad_token="[NEW]")
    refused(bert, r"'\[NEW\]' among them \(50\)")


@pytest.mark.parametrize("place", ["added_tokens.json", "tokenizer_config.json", "named only"])
def test_tokens_are_looked_for_in_every_file(place: str, bert: Path) -> None:
    """Older tokenizers keep added ones beside the vocabulary; a name alone gets the next number."""
    if place == "added_tokens.json":
        (bert / place).write_text(json.dumps({"<late>": 50}))
    elif place == "tokenizer_config.json":
        (bert / place).write_text(json.dumps({"added_tokens_decoder": {"50": {"content": "<late>"}}}))
    else:
        add_token(bert, 42)
        (bert / "special_tokens_map.json").write_text(json.dumps({"eos_token": {"content": "<late>"}}))
    refused(bert, r"'<late>' among them \(50\)")


def test_a_vocabulary_file_alone_is_counted(bert: Path) -> None:
    """One word a line, as BERT was published."""
    (bert / "tokenizer.json").unlink()
    (bert / "vocab.txt").write_text("".join(f"word{number}\n" for number in range(51)))
    refused(bert, "'word50' among them")


@pytest.mark.parametrize("file", ["tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"])
@pytest.mark.parametrize("content", ["{", "\x00", "[" * 100_000])
def test_a_damaged_file_of_the_tokenizer_is_refused(file: str, content: str, bert: Path) -> None:
    """Each of those that are read."""
    (bert / file).write_text(content)
    with pytest.raises(DamagedBackbone, match=f"{file} of 'local:mine' is damaged"):
        read(bert)


@pytest.mark.parametrize(
    "content", ["[]", "3", '{"pad_token": 3, "added_tokens_decoder": {"x": 1, "²": {}}}']
)
def test_odd_settings_of_a_tokenizer_are_no_crash(content: str, bert: Path) -> None:
    """What says nothing about ids is left to transformers."""
    (bert / "tokenizer_config.json").write_text(content)
    assert read(bert).shape.layers == 3


def change_tokenizer(folder: Path, **parts: Any) -> None:
    file = folder / "tokenizer.json"
    content = json.loads(file.read_text())
    content["model"].update(parts.pop("model", {}))
    file.write_text(json.dumps({**content, **parts}))


TEMPLATE = {
    "type": "TemplateProcessing", "single": [], "pair": [],
    "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [101], "tokens": ["[CLS]"]}},
}  # fmt: skip
AROUND = {"type": "BertProcessing", "sep": ["[SEP]", 0], "cls": ["[CLS]", 101]}


@pytest.mark.parametrize(
    "processor", [TEMPLATE, AROUND, {"type": "Sequence", "processors": [{"type": "ByteLevel"}, AROUND]}]
)
def test_tokens_put_around_a_text_are_counted(processor: dict[str, Any], bert: Path) -> None:
    """They have ids of their own, which no vocabulary need hold."""
    change_tokenizer(bert, post_processor=processor)
    refused(bert, r"'\[CLS\]' among them \(101\)")


@pytest.mark.parametrize("processor", [3, [], {"cls": 3, "sep": [1]}, {"special_tokens": {"a": 3}}])
def test_an_odd_way_to_put_tokens_around_a_text_is_no_crash(processor: object, bert: Path) -> None:
    """What says nothing about ids is left to the library."""
    change_tokenizer(bert, post_processor=processor)
    assert read(bert).shape.layers == 3


@pytest.mark.parametrize("key", ["additional_special_tokens", "extra_special_tokens"])
@pytest.mark.parametrize("named", [False, True])
def test_further_special_tokens_are_counted(key: str, named: bool, bert: Path) -> None:
    """As a list or under names, as texts or with their settings: each without an id gets the next."""
    tokens = [f"<x{number}>" for number in range(42)] + [{"content": "<late>"}]
    entry = {f"x{at}": token for at, token in enumerate(tokens)} if named else tokens
    (bert / "tokenizer_config.json").write_text(json.dumps({key: entry}))
    refused(bert, r"'<late>' among them \(50\)")


@pytest.mark.parametrize(
    "vocabulary", [{"film": -3}, {"film": 3.5}, {"film": "3"}, {"film": True}, {}, None, ["film"], 3]
)
def test_a_vocabulary_without_ids_is_refused(vocabulary: object, bert: Path) -> None:
    """The library would end with an exception that has no kind."""
    change_tokenizer(bert, model={"vocab": vocabulary})
    refused(bert, "vocabulary in tokenizer.json of 'local:mine' is damaged")


def test_a_tokenizer_that_cannot_read_unknown_words_is_refused(bert: Path) -> None:
    """It would stop at the first text with one."""
    change_tokenizer(bert, model={"unk_token": "[UNK]"})
    refused(bert, r"no id for '\[UNK\]', its token for unknown words")
