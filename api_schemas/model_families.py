"""The families of transformers that can be trained on: a row of `FAMILIES` each.

Written from the modelling files of transformers 5.23. Names and numbers only: no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

from api_schemas.backbones import ROLES


@dataclass(frozen=True)
class LayerPaths:
    """Where a family keeps the parts of a layer, as attribute paths from the layer.

    `ffn_input` is the module whose input the parallel adapter reads; `ffn_output` the module whose
    output both adapters add to. `fused` names the roles that are equal column blocks of the output of
    one projection, in their order there. `relative_bias` is the method of `attention` that computes
    position scores from queries and keys. `ffn_gate` is the projection whose activated output gates that of
    `ffn_in`, unit by unit.
    """

    attention: str
    query: str
    key: str
    value: str
    attention_output: str
    ffn_in: str
    ffn_out: str
    ffn_input: str
    ffn_output: str
    fused: tuple[str, ...] = ()
    relative_bias: str | None = None
    ffn_gate: str | None = None


_BERT = LayerPaths(
    attention="attention.self",
    query="attention.self.query",
    key="attention.self.key",
    value="attention.self.value",
    attention_output="attention.output.dense",
    ffn_in="intermediate.dense",
    ffn_out="output.dense",
    ffn_input="intermediate",
    ffn_output="output.dense",
)
_DISTILBERT = LayerPaths(
    attention="attention",
    query="attention.q_lin",
    key="attention.k_lin",
    value="attention.v_lin",
    attention_output="attention.out_lin",
    ffn_in="ffn.lin1",
    ffn_out="ffn.lin2",
    ffn_input="ffn.lin1",
    ffn_output="ffn.lin2",
)
_MPNET = replace(
    _BERT,
    attention="attention.attn",
    query="attention.attn.q",
    key="attention.attn.k",
    value="attention.attn.v",
    attention_output="attention.attn.o",
)
_DEBERTA = replace(
    _BERT,
    query="attention.self.query_proj",
    key="attention.self.key_proj",
    value="attention.self.value_proj",
    relative_bias="disentangled_attention_bias",
)
_GPT2 = LayerPaths(
    attention="attn",
    query="attn.c_attn",
    key="attn.c_attn",
    value="attn.c_attn",
    attention_output="attn.c_proj",
    ffn_in="mlp.c_fc",
    ffn_out="mlp.c_proj",
    ffn_input="mlp",
    ffn_output="mlp.c_proj",
    fused=("query", "key", "value"),
)
_LLAMA = LayerPaths(
    attention="self_attn",
    query="self_attn.q_proj",
    key="self_attn.k_proj",
    value="self_attn.v_proj",
    attention_output="self_attn.o_proj",
    ffn_in="mlp.up_proj",
    ffn_out="mlp.down_proj",
    ffn_input="mlp",
    ffn_output="mlp",
    ffn_gate="mlp.gate_proj",
)
_T5 = LayerPaths(
    attention="layer.0.SelfAttention",
    query="layer.0.SelfAttention.q",
    key="layer.0.SelfAttention.k",
    value="layer.0.SelfAttention.v",
    attention_output="layer.0.SelfAttention.o",
    ffn_in="layer.1.DenseReluDense.wi",
    ffn_out="layer.1.DenseReluDense.wo",
    ffn_input="layer.1.DenseReluDense",
    ffn_output="layer.1.DenseReluDense",
)
# As in Llama, the branch without the activation is the one that is called the feed-forward input.
_T5_GATED = replace(_T5, ffn_in="layer.1.DenseReluDense.wi_1", ffn_gate="layer.1.DenseReluDense.wi_0")


@dataclass(frozen=True)
class Family:
    """What the service and the workers have to know of a family."""

    layer: tuple[LayerPaths, ...]
    """What a layer may look like: the first whose every path exists is the one."""
    norm_vectors: int | None = None
    """Vectors of the hidden size in a layer's norms, two for a norm with a bias; None: other sizes."""
    norm_biases: int = 0
    """Norms of a layer that have a bias."""
    biased: tuple[str, ...] = ()
    """The projections that have a bias."""
    is_conv1d: bool = False
    """Whether projections are `Conv1D` of transformers: their weights are (inputs, outputs)."""
    positions_after_padding: bool = False
    """Whether positions count from behind the padding token's id, so that the first rows serve no token."""
    embeds_padding: bool = True
    """Whether the embedding has a padding token, which must then be one of its rows."""
    final_norm: str | None = None
    """The norm behind the last layer, as an attribute path from the transformer."""
    factorised_embedding: bool = False
    """Whether tokens may be narrower than the layers."""
    model_class: str = "AutoModel"
    """The class of transformers that loads it and has no part that is never used."""
    is_decoder: bool = False
    """Whether it was trained to write texts on."""
    uncut: str | None = None
    """Why layers cannot be left out of it; None where they can."""
    head_size: str | None = None
    """The entry of its configuration that says how wide a head is; None where that is the hidden size divided
    by the number of heads, so that no plain configuration describes fewer."""
    shares_position_bias: bool = False
    """Whether all layers add one table of positions, with a column for each head, to their scores."""


_BERT_LIKE = Family((_BERT,), norm_vectors=4, norm_biases=2, biased=ROLES)
_LLAMA_LIKE = Family((_LLAMA,), norm_vectors=2, final_norm="norm", is_decoder=True, head_size="head_dim")

FAMILIES: Mapping[str, Family] = {
    "bert": _BERT_LIKE,
    "roberta": replace(_BERT_LIKE, positions_after_padding=True),
    "xlm-roberta": replace(_BERT_LIKE, positions_after_padding=True),
    "electra": replace(_BERT_LIKE, factorised_embedding=True),
    "distilbert": replace(_BERT_LIKE, layer=(_DISTILBERT,)),
    "mpnet": replace(_BERT_LIKE, layer=(_MPNET,), positions_after_padding=True),
    "deberta-v2": replace(
        _BERT_LIKE,
        layer=(_DEBERTA,),
        factorised_embedding=True,
        uncut="a convolution beside its first layer reads that layer's input",
    ),
    "gpt2": replace(
        _BERT_LIKE,
        layer=(_GPT2,),
        is_conv1d=True,
        embeds_padding=False,
        final_norm="ln_f",
        is_decoder=True,
    ),
    "llama": _LLAMA_LIKE,
    "mistral": _LLAMA_LIKE,
    "qwen2": replace(_LLAMA_LIKE, biased=("query", "key", "value"), head_size=None),
    "qwen3": replace(_LLAMA_LIKE, norm_vectors=None),
    "t5": Family(
        (_T5, _T5_GATED),
        norm_vectors=2,
        embeds_padding=False,
        final_norm="encoder.final_layer_norm",
        model_class="T5EncoderModel",
        uncut="its first layer holds the position bias of all others",
        head_size="d_kv",
        shares_position_bias=True,
    ),
}

CUT_FAMILIES = tuple(name for name, family in FAMILIES.items() if family.uncut is None)
"""Families whose layers may be left out."""

HEAD_FAMILIES = tuple(name for name, family in FAMILIES.items() if family.head_size is not None)
"""Families whose attention heads may be left out."""

LAYER_LISTS = ("encoder.layer", "transformer.layer", "encoder.block", "layers", "h")
"""Where a transformer keeps the list of its layers."""

NOT_PATHS = frozenset({"fused", "relative_bias", "ffn_gate"})


def parts_of(paths: LayerPaths) -> tuple[str, ...]:
    """Return every path of a layer that must exist."""
    return tuple(getattr(paths, field.name) for field in fields(paths) if field.name not in NOT_PATHS)
