"""Convert a GGUF file into a folder that transformers loads fast, once on each machine.

GGUF keeps weights quantised. They are widened to float32, so that a worker may load them in any
precision; the accuracy lost by quantising is not regained.
"""

from pathlib import Path

import torch
from transformers import AutoModel, AutoTokenizer, GgufConfig

from service.catalogue.backbones.packaged import check_hash, made_once


def converted_directory(name: str, file: Path) -> Path:
    """Return the folder with the converted backbone; the first call takes half a minute.

    Raises:
        service.errors.UnknownBackbone: If the file is not the expected one, or the folder cannot be written.
    """

    def convert(folder: Path) -> None:
        check_hash(name, file)
        AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
        model = AutoModel.from_pretrained(
            file.parent,
            gguf_file=file.name,
            dtype=torch.float32,
            quantization_config=GgufConfig(dequantize=True),
        )
        model.save_pretrained(folder)

    return made_once(name, convert)
