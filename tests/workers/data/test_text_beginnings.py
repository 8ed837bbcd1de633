"""Whatever stands between the words, and where nothing does, a long text is cut and its tokens stay."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from service.catalogue.backbones.packaged import packaged_directory
from service.catalogue.tasks.rows import Row
from workers.data.task_data import tokenise

CORPUS = [
    "a film of great length. 今天的电影很好看。哈哈哈 film\n\nend.\n",
    "一部 伟大 的\t电影 x xx xxx xxxx",
] * 20
LONG = 300_000
TEXTS: dict[str, Callable[[int], str]] = {
    "spaces": lambda n: "a film of great length. " * (n // 24),
    "Chinese": lambda n: "今天的电影很好看。" * (n // 9),
    "Chinese in lines": lambda n: "今天的电影很好看。\n" * (n // 10),
    "new lines": lambda n: "film\n" * (n // 5),
    "ends of lines": lambda n: "end.\n" * (n // 5),
    "tabs": lambda n: "film\tgreat\t" * (n // 11),
    "other spaces": lambda n: "film\u3000great\u00a0" * (n // 11),
    "one character": lambda n: "x" * n,
    "one ideograph": lambda n: "哈" * n,
    "a long word, then words": lambda n: "x" * n + " a film of great length" * 200,
    "words, then a long word": lambda n: "a film " * 3 + "x" * n,
    "white space alone": lambda n: " \n" * (n // 2),
    "white space, then words": lambda n: " " * n + "a film of great length" * 200,
    "emoji": lambda n: "🙂👍🏽" * (n // 3),
    "combining marks": lambda n: "e\u0301" * (n // 2),
    "halves of surrogate pairs": lambda n: "\ud83d film" * (n // 6),
}


def word_pieces() -> Any:
    return AutoTokenizer.from_pretrained(packaged_directory("all-MiniLM-L6-v2"))


def byte_level_bpe() -> Any:
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=trained)


def bpe_of_lines() -> Any:
    """As Llama 3 splits: a mark and the ends of lines behind it are one word, and a word may be endless."""
    split = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(split), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
    ])  # fmt: skip
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trained.train_from_iterator(CORPUS, trainers.BpeTrainer(initial_alphabet=alphabet, show_progress=False))
    return PreTrainedTokenizerFast(tokenizer_object=trained)


def unigram() -> Any:
    """As T5 and XLM-R are."""
    trained = Tokenizer(models.Unigram())
    trained.normalizer = normalizers.NFKC()
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    trained.decoder = decoders.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=80, unk_token="<unk>", special_tokens=["<unk>"], show_progress=False
    )
    trained.train_from_iterator(CORPUS, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, unk_token="<unk>")


READERS = {
    "word pieces": word_pieces, "byte-level BPE": byte_level_bpe, "BPE of lines": bpe_of_lines,
    "unigram": unigram,
}  # fmt: skip


@pytest.fixture(scope="module", params=list(READERS))
def reader(request: pytest.FixtureRequest) -> Any:
    return READERS[request.param]()


def whole(reader: Any, text: str, max_length: int) -> tuple[int, ...]:
    readable = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return tuple(reader([readable], truncation=True, max_length=max_length)["input_ids"][0])


@pytest.mark.parametrize("max_length", [4, 33])
@pytest.mark.parametrize("kind", list(TEXTS))
def test_the_first_tokens_are_those_of_the_whole_text(kind: str, max_length: int, reader: Any) -> None:
    """Of every kind of tokenizer, at a length that cuts the text many times over."""
    text = TEXTS[kind](5_000)
    expected = whole(reader, text, max_length) or (0,)
    assert tokenise([Row(text, 0)], reader, max_length=max_length).ids == (expected,)


@pytest.mark.parametrize("kind", ["Chinese", "Chinese in lines", "ends of lines", "other spaces"])
def test_both_texts_of_a_pair_are_cut(kind: str, reader: Any) -> None:
    """Where both are longer than the length, as many tokens of each stay as of the whole pair."""
    text = TEXTS[kind](1_500)
    limits = {"truncation": "longest_first", "max_length": 41}
    expected = tuple(reader([text], [text], **limits)["input_ids"][0])
    assert tokenise([Row(text, 0, text)], reader, max_length=41).ids == (expected,)


@pytest.mark.parametrize("kind", ["Chinese", "Chinese in lines", "new lines", "tabs"])
def test_a_very_long_text_is_not_read_to_its_end(kind: str, reader: Any) -> None:
    """A tokenizer is shown no more than a few times the part that is kept."""
    shown: list[str] = []

    class Watched:
        bos_token_id = eos_token_id = pad_token_id = None

        def __call__(self, texts: list[str], *arguments: Any, **options: Any) -> Any:
            shown.extend(texts)
            return reader(texts, *arguments, **options)

    started = time.monotonic()
    assert len(tokenise([Row(TEXTS[kind](LONG), 0)], Watched(), max_length=64).ids[0]) == 64
    assert time.monotonic() - started < 5
    assert sum(map(len, shown)) < LONG / 20


@pytest.mark.parametrize("text", ["", " ", "\n\t", "\u200b", "\x00", "\ufeff", "\ud800"])
def test_a_text_of_nothing_has_a_token(text: str, reader: Any) -> None:
    """The mean over no token at all would be no number."""
    assert len(tokenise([Row(text, 0)], reader, max_length=8).ids[0]) >= 1
    assert len(tokenise([Row(text, 0, text)], reader, max_length=8).ids[0]) >= 1
