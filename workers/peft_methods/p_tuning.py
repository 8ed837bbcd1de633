"""P-tuning: a small network makes the prompt. Liu and others 2021 (arXiv 2103.10385)."""

from typing import Any

import peft as hf
from torch import nn

from workers.peft_methods.prompts import PromptMethod


def _configuration(*, token_dim: int, **widths: Any) -> hf.PeftConfig:
    return hf.PromptEncoderConfig(token_dim=token_dim, encoder_hidden_size=token_dim, **widths)


def _encoder(configuration: hf.PeftConfig, _: nn.Module) -> nn.Module:
    encoder: nn.Module = hf.PromptEncoder(configuration)
    return encoder


METHOD = PromptMethod(_configuration, encoder=_encoder)
