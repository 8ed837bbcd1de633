"""Small real checkpoints of every family, as `save_pretrained` writes them."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import PreTrainedTokenizerFast

from tests.workers.conftest import KINDS
from workers.backbones.loading import model_class

WORDS = {"<pad>": 0, "<unk>": 1, "a": 2, "film": 3, "that": 4, "is": 5, "good": 6, "dull": 7}


def save_checkpoint(kind: str, folder: Path, **special: str | None) -> Path:
    """Write a random network of a key of `KINDS` with a tokenizer of eight words; return the folder."""
    torch.manual_seed(0)
    configuration = deepcopy(KINDS[kind])  # saving a network writes its precision into it
    build: Any = model_class(configuration.model_type)
    model = getattr(build, "from_config", getattr(build, "_from_config", None))(configuration)
    model.save_pretrained(folder)
    save_tokenizer(folder, **special)
    return folder


def save_tokenizer(folder: Path, **special: str | None) -> None:
    """Write a tokenizer of eight words; `special` names its special tokens, `<pad>` alone if nothing."""
    words = Tokenizer(WordLevel(WORDS, unk_token="<unk>"))
    words.pre_tokenizer = Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=words, **(special or {"pad_token": "<pad>"})).save_pretrained(
        folder
    )
