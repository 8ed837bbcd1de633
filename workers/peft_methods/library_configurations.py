"""A trial's settings as a configuration of HF `peft`: one row per method.

Knows which class and which field of peft holds which setting. What is not set here has peft's default.
"""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

import peft as hf
from peft import PeftConfig

from api_schemas.backbones import hub_repository
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import PeftMethod
from api_schemas.peft.vblora import BANK_VECTORS

ADAPTER = "default"
"""peft's own name for the only adapter; it leaves it out of the names that it saves."""
FEATURES = "FEATURE_EXTRACTION"
"""The task under which `PeftModel.from_pretrained` gives hidden states, with prompts in front."""
# AdaLoRA keeps all ranks for the first share of the steps and trains the chosen ones alone for the last.
WARM_UP_SHARE = 0.1
FINAL_SHARE = 0.3

Row = Callable[[LibrarySettings], dict[str, Any]]


def peft_configuration(
    method: PeftMethod,
    settings: LibrarySettings,
    *,
    targets: Collection[str],
    feed_forward: Collection[str],
    backbone: str,
    seed: int,
) -> PeftConfig:
    """Return peft's configuration of a method.

    `targets` are full module names, `feed_forward` those of them that close a feed-forward block. The
    seed draws what is random and stays frozen: shared projections, and the places of frequencies.
    """
    make, row = ROWS[method]
    fields = {"target_modules": sorted(targets), **row(settings)}
    if method in (PeftMethod.VERA, PeftMethod.RANDLORA):
        fields["projection_prng_key"] = seed
    if method is PeftMethod.FOURIERFT:
        fields["random_loc_seed"] = seed
    if method is PeftMethod.IA3:
        fields["feedforward_modules"] = sorted(feed_forward)
    configuration: PeftConfig = make(**fields)
    configuration.task_type = FEATURES
    configuration.base_model_name_or_path = hub_repository(backbone)
    return configuration


def prompt_configuration(
    method: PeftMethod, *, tokens: int, width: int, layers: int, backbone: str
) -> PeftConfig:
    """Return peft's configuration of a method that puts `tokens` trained tokens in front of the text."""
    widths = {
        "num_virtual_tokens": tokens,
        "token_dim": width,
        "num_transformer_submodules": 1,
        "num_layers": layers,
        "num_attention_heads": 1,  # read by prefix tuning only
        "task_type": FEATURES,
        "base_model_name_or_path": hub_repository(backbone),
    }
    if method is PeftMethod.PROMPT_TUNING:
        # Tokens of the vocabulary have the scale that the backbone expects; noise has not.
        return hf.PromptTuningConfig(prompt_tuning_init=hf.PromptTuningInit.SAMPLE_VOCAB, **widths)
    return hf.PromptEncoderConfig(encoder_hidden_size=width, **widths)


def allocation_schedule(total_steps: int) -> tuple[int, int]:
    """Return the steps before AdaLoRA takes rank away, and the steps after it has stopped to."""
    return int(WARM_UP_SHARE * total_steps), int(FINAL_SHARE * total_steps)


def _low_rank(settings: LibrarySettings, **more: Any) -> dict[str, Any]:
    return {"r": settings.rank, "lora_alpha": settings.alpha, **more}


ROWS: Mapping[PeftMethod, tuple[Callable[..., PeftConfig], Row]] = {
    PeftMethod.LORA: (hf.LoraConfig, _low_rank),
    PeftMethod.RSLORA: (hf.LoraConfig, partial(_low_rank, use_rslora=True)),
    PeftMethod.DORA: (hf.LoraConfig, partial(_low_rank, use_dora=True)),
    PeftMethod.PISSA: (hf.LoraConfig, partial(_low_rank, init_lora_weights="pissa")),
    PeftMethod.OLORA: (hf.LoraConfig, partial(_low_rank, init_lora_weights="olora")),
    PeftMethod.ADALORA: (
        hf.AdaLoraConfig,
        # The number of steps is known when training starts; until then any will do.
        lambda s: {"init_r": s.rank, "target_r": s.rank // 2, "lora_alpha": s.alpha, "total_step": 1},
    ),
    PeftMethod.VERA: (hf.VeraConfig, lambda s: {"r": s.rank}),
    PeftMethod.IA3: (hf.IA3Config, lambda _: {}),
    PeftMethod.LOHA: (hf.LoHaConfig, lambda s: {"r": s.rank, "alpha": s.alpha}),
    PeftMethod.LOKR: (hf.LoKrConfig, lambda s: {"r": s.rank, "alpha": s.alpha}),
    PeftMethod.OFT: (hf.OFTConfig, lambda s: {"oft_block_size": s.block_size}),
    PeftMethod.BOFT: (hf.BOFTConfig, lambda s: {"boft_block_size": s.block_size}),
    PeftMethod.LN_TUNING: (hf.LNTuningConfig, lambda _: {}),
    PeftMethod.MISS: (hf.MissConfig, lambda s: {"r": s.rank}),
    PeftMethod.FOURIERFT: (
        hf.FourierFTConfig,
        lambda s: {"n_frequency": s.frequencies, "init_weights": True},
    ),
    PeftMethod.VBLORA: (
        hf.VBLoRAConfig,
        lambda s: {"r": s.rank, "vector_length": s.block_size, "num_vectors": BANK_VECTORS},
    ),
    PeftMethod.RANDLORA: (hf.RandLoraConfig, lambda s: {"r": s.rank, "randlora_alpha": s.alpha}),
    PeftMethod.HRA: (hf.HRAConfig, lambda s: {"r": s.rank}),
}
"""The class of the configuration, and the fields that a trial's settings fill."""
