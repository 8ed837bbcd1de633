"""Exact counts of trained scalars for the methods of HF `peft` and for BitFit, and what cannot work.

Formulas follow the sources of peft 0.21; a test compares each with the tensors that peft makes. Loads
no torch, so that the API can refuse a configuration and know its cost.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from api_schemas.backbones import BackboneShape, Projection, projections
from api_schemas.peft_methods import (
    SETTINGS,
    TARGETED,
    LibrarySettings,
    PeftMethod,
)

BANK_VECTORS = 90
"""Vectors in the bank that VB-LoRA shares among all layers, as in the paper (arXiv 2405.15179)."""

SIZES = ("rank", "block_size", "frequencies", "virtual_tokens")
"""Settings whose values do not fit every backbone."""

RANK_LIMITED = frozenset({PeftMethod.PISSA, PeftMethod.OLORA, PeftMethod.RANDLORA})
"""Methods that factor the weight itself, or split its rank into bases of this size."""

CONV1D_FAMILIES = frozenset({"gpt2"})
"""Families whose projections are no plain linear layers, or several projections in one."""


@dataclass(frozen=True)
class FamilyFacts:
    """What a layer of a family has besides its projections.

    `norm_vectors` counts vectors of the hidden size in the layer's norms (two for a norm with a
    bias); `biased` names the projections with a bias; `norm_biases` counts norms with a bias.
    """

    norm_vectors: int
    norm_biases: int = 0
    biased: tuple[str, ...] = ()


_BERT = FamilyFacts(
    norm_vectors=4,
    norm_biases=2,
    biased=("query", "key", "value", "attention_output", "ffn_in", "ffn_out"),
)
_LLAMA = FamilyFacts(norm_vectors=2)
FAMILY_FACTS: Mapping[str, FamilyFacts] = {
    "bert": _BERT,
    "roberta": _BERT,
    "xlm-roberta": _BERT,
    "electra": _BERT,
    "distilbert": _BERT,
    "mpnet": _BERT,
    "deberta-v2": _BERT,
    "gpt2": _BERT,
    "llama": _LLAMA,
    "mistral": _LLAMA,
    "qwen2": FamilyFacts(norm_vectors=2, biased=("query", "key", "value")),
    "t5": FamilyFacts(norm_vectors=2),
}


def library_parameters(
    method: PeftMethod, settings: LibrarySettings, *, shape: BackboneShape, layers: int
) -> int:
    """Count the scalars that a method trains on so many active layers, the head left out."""
    hidden, width = shape.hidden_size, shape.embedding_width
    if method is PeftMethod.PROMPT_TUNING:
        return settings.virtual_tokens * width
    if method is PeftMethod.P_TUNING:
        return settings.virtual_tokens * width + 3 * (width * width + width)
    if method is PeftMethod.LN_TUNING:
        return layers * FAMILY_FACTS[shape.model_type].norm_vectors * hidden
    if method is PeftMethod.BITFIT:
        return layers * _biases(shape)
    if method not in TARGETED or not layers or not settings.targets:
        return 0
    found = projections(shape)
    per_layer = sum(COUNTS[method](settings, found[role]) for role in settings.targets)
    shared = BANK_VECTORS * settings.block_size if method is PeftMethod.VBLORA else 0
    return layers * per_layer + shared


def setting_problem(
    method: PeftMethod,
    setting: str,
    settings: LibrarySettings,
    *,
    shape: BackboneShape,
    max_length: int,
) -> str | None:
    """Return why a method cannot work with its value of one setting, or None if it can."""
    value = getattr(settings, setting)
    if setting == "virtual_tokens":
        if value + max_length > shape.max_positions:
            return (
                f"{value} virtual tokens and a text of {max_length} need {value + max_length} positions; "
                f"the backbone has {shape.max_positions}"
            )
        return None
    if setting == "rank":
        if method is PeftMethod.HRA and value % 2:
            return f"HRA starts from the backbone only at an even rank, not at {value}"
        if method is PeftMethod.ADALORA and value < 2:
            return "AdaLoRA halves its rank while it trains, so it needs at least 2"
    found = projections(shape)
    for role in settings.targets:
        problem = _projection_problem(method, setting, value, found[role])
        if problem is not None:
            return problem
    return None


def method_problem(method: PeftMethod, *, shape: BackboneShape) -> str | None:
    """Return why a method cannot work on a backbone at all, or None if it can."""
    facts = FAMILY_FACTS.get(shape.model_type)
    if method is PeftMethod.BITFIT and (facts is None or not _has_biases(facts)):
        return f"BitFit trains biases, and none are known in the layers of '{shape.model_type}'"
    if method is PeftMethod.LN_TUNING and facts is None:
        return f"the norms of '{shape.model_type}' are not known"
    if method in TARGETED and shape.model_type in CONV1D_FAMILIES:
        return f"the projections of '{shape.model_type}' are no plain linear layers; use our own modules"
    return None


def problems(
    method: PeftMethod, settings: LibrarySettings, *, shape: BackboneShape, max_length: int
) -> Iterator[str]:
    """Yield everything that keeps a method from working."""
    unfit = method_problem(method, shape=shape)
    if unfit is not None:
        yield unfit
    for setting in SIZES:
        if setting in SETTINGS[method]:
            problem = setting_problem(method, setting, settings, shape=shape, max_length=max_length)
            if problem is not None:
                yield problem


def _projection_problem(method: PeftMethod, setting: str, value: int, projection: Projection) -> str | None:
    role, inputs, outputs = projection.role, projection.inputs, projection.outputs
    if setting == "rank" and method in RANK_LIMITED and value > min(inputs, outputs):
        return f"rank {value} exceeds the smaller width {min(inputs, outputs)} of the {role} projection"
    if setting == "rank" and method is PeftMethod.MISS and value > inputs:
        return f"rank {value} exceeds the input width {inputs} of the {role} projection"
    if setting == "frequencies" and value > inputs * outputs:
        return f"{value} frequencies exceed the {inputs * outputs} weights of the {role} projection"
    if setting == "block_size":
        divided = (inputs, outputs) if method is PeftMethod.VBLORA else (inputs,)
        for width in divided:
            if width % value:
                return f"a block of {value} does not divide the width {width} of the {role} projection"
    return None


def _low_rank(settings: LibrarySettings, p: Projection) -> int:
    return settings.rank * (p.inputs + p.outputs)


def _lokr(settings: LibrarySettings, p: Projection) -> int:
    # W = kron(w1, w2): w1 of (a, c), w2 of (b, d) or of two factors, with a b = outputs, c d = inputs.
    (a, b), (c, d) = near_square(p.outputs), near_square(p.inputs)
    second = settings.rank * (b + d) if settings.rank < max(b, d) / 2 else b * d
    return a * c + second


def _randlora(settings: LibrarySettings, p: Projection) -> int:
    smaller = min(p.inputs, p.outputs)
    bases = -(-smaller // settings.rank)
    return bases * (settings.rank + smaller)


def near_square(width: int) -> tuple[int, int]:
    """Split a width into the two factors nearest to its square root, the smaller one first."""
    smaller = next(factor for factor in range(int(width**0.5), 0, -1) if width % factor == 0)
    return smaller, width // smaller


COUNTS: Mapping[PeftMethod, Callable[[LibrarySettings, Projection], int]] = {
    PeftMethod.LORA: _low_rank,
    PeftMethod.RSLORA: _low_rank,
    PeftMethod.PISSA: _low_rank,
    PeftMethod.OLORA: _low_rank,
    PeftMethod.DORA: lambda s, p: _low_rank(s, p) + p.outputs,
    PeftMethod.ADALORA: lambda s, p: _low_rank(s, p) + s.rank,
    PeftMethod.VERA: lambda s, p: p.outputs + s.rank,
    # (IA)3 scales the input of the feed-forward block's second map, and the output of all others.
    PeftMethod.IA3: lambda _, p: p.inputs if p.role == "ffn_out" else p.outputs,
    PeftMethod.LOHA: lambda s, p: 2 * _low_rank(s, p),
    PeftMethod.LOKR: _lokr,
    PeftMethod.OFT: lambda s, p: p.inputs * (s.block_size - 1) // 2,
    PeftMethod.BOFT: lambda s, p: p.inputs * s.block_size + p.outputs,
    PeftMethod.MISS: lambda s, p: s.rank * p.outputs,
    PeftMethod.FOURIERFT: lambda s, _: s.frequencies,
    PeftMethod.VBLORA: lambda s, p: _low_rank(s, p) // s.block_size * BANK_VECTORS,
    PeftMethod.RANDLORA: _randlora,
    PeftMethod.HRA: lambda s, p: s.rank * p.inputs,
}
"""Scalars that a method trains for one projection."""


def _has_biases(facts: FamilyFacts) -> bool:
    return bool(facts.biased or facts.norm_biases)


def _biases(shape: BackboneShape) -> int:
    facts = FAMILY_FACTS[shape.model_type]
    found = projections(shape)
    return sum(found[role].outputs for role in facts.biased) + facts.norm_biases * shape.hidden_size
