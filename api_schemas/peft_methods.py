"""The PEFT methods by name, the settings that those of HF `peft` share, and which method reads which.

Knows no tensors and no search spaces. The formulas behind the names are in `docs/methods.md`.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.json_values import Integer, Number

ROLES = ("query", "key", "value", "attention_output", "ffn_in", "ffn_out")
"""The projections of a transformer layer, in the order in which everything lists them."""


class PeftMethod(StrEnum):
    """What a trial trains besides the head."""

    MODULES = "modules"
    """Our own modules, any union of them: the other sections of `peft`."""
    HEAD_ONLY = "head_only"
    BITFIT = "bitfit"
    LORA = "lora"
    RSLORA = "rslora"
    DORA = "dora"
    PISSA = "pissa"
    OLORA = "olora"
    ADALORA = "adalora"
    VERA = "vera"
    IA3 = "ia3"
    LOHA = "loha"
    LOKR = "lokr"
    OFT = "oft"
    BOFT = "boft"
    LN_TUNING = "ln_tuning"
    MISS = "miss"
    FOURIERFT = "fourierft"
    VBLORA = "vblora"
    RANDLORA = "randlora"
    HRA = "hra"
    PROMPT_TUNING = "prompt_tuning"
    P_TUNING = "p_tuning"


LARGEST_SCALE = 1e9
"""No factor of an update may be larger: what it multiplies is single precision."""


class LibrarySettings(Schema):
    """Settings of the methods that go through HF `peft`; `SETTINGS` says which method reads which."""

    rank: Integer = Field(default=8, ge=1, le=65536)
    alpha: Number = Field(
        default=16.0, gt=0, le=LARGEST_SCALE, description="updates are scaled by alpha / rank"
    )
    block_size: Integer = Field(
        default=32, ge=2, le=65536, description="rotated block of OFT and BOFT; vector length of VB-LoRA"
    )
    frequencies: Integer = Field(default=1000, ge=1, le=2**31 - 1)
    virtual_tokens: Integer = Field(default=20, ge=1, le=65536)
    query: bool = True
    key: bool = False
    value: bool = True
    attention_output: bool = False
    ffn_in: bool = False
    ffn_out: bool = False

    @property
    def targets(self) -> tuple[str, ...]:
        """Roles of the projections that are changed, in a fixed order."""
        return tuple(role for role in ROLES if getattr(self, role))


SETTINGS: Mapping[PeftMethod, tuple[str, ...]] = {
    PeftMethod.MODULES: (),
    PeftMethod.HEAD_ONLY: (),
    PeftMethod.BITFIT: (),
    PeftMethod.LORA: ("rank", "alpha", *ROLES),
    PeftMethod.RSLORA: ("rank", "alpha", *ROLES),
    PeftMethod.DORA: ("rank", "alpha", *ROLES),
    PeftMethod.PISSA: ("rank", "alpha", *ROLES),
    PeftMethod.OLORA: ("rank", "alpha", *ROLES),
    PeftMethod.ADALORA: ("rank", "alpha", *ROLES),
    PeftMethod.VERA: ("rank", *ROLES),
    PeftMethod.IA3: ROLES,
    PeftMethod.LOHA: ("rank", "alpha", *ROLES),
    PeftMethod.LOKR: ("rank", "alpha", *ROLES),
    PeftMethod.OFT: ("block_size", *ROLES),
    PeftMethod.BOFT: ("block_size", *ROLES),
    PeftMethod.LN_TUNING: (),
    PeftMethod.MISS: ("rank", *ROLES),
    PeftMethod.FOURIERFT: ("frequencies", *ROLES),
    PeftMethod.VBLORA: ("rank", "block_size", *ROLES),
    PeftMethod.RANDLORA: ("rank", "alpha", *ROLES),
    PeftMethod.HRA: ("rank", *ROLES),
    PeftMethod.PROMPT_TUNING: ("virtual_tokens",),
    PeftMethod.P_TUNING: ("virtual_tokens",),
}

TARGETED = frozenset(method for method, read in SETTINGS.items() if "query" in read)
"""Methods that change projections, and so need at least one role."""

PROMPT_METHODS = frozenset({PeftMethod.PROMPT_TUNING, PeftMethod.P_TUNING})
"""Methods that put trained tokens in front of the text. They know no layers."""


READ_FROZEN_WEIGHTS = frozenset(
    {PeftMethod.DORA, PeftMethod.PISSA, PeftMethod.OLORA, PeftMethod.BOFT, PeftMethod.HRA}
)
"""Methods that compute with the frozen weights themselves, which a quantised backbone does not have."""


def only_what_is_read(method: PeftMethod, settings: LibrarySettings) -> LibrarySettings:
    """Return the settings that the method reads their values, and all others their defaults."""
    return LibrarySettings(**{name: getattr(settings, name) for name in SETTINGS[method]})
