"""Prompt tuning: trained embeddings in front of the text. Lester and others 2021 (arXiv 2104.08691)."""

from functools import partial

import peft as hf

from workers.peft_methods.prompts import PromptMethod

METHOD = PromptMethod(
    # Tokens of the vocabulary have the scale that the backbone expects; noise has not.
    partial(hf.PromptTuningConfig, prompt_tuning_init=hf.PromptTuningInit.SAMPLE_VOCAB),
    encoder=hf.PromptEmbedding,
)
