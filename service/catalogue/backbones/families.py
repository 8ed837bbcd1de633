"""Where each family of transformers keeps the parts of a layer.

A family is a row of `FAMILIES`. Written from the modelling files of transformers 5.23. Paths only: no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class LayerPaths:
    """Where a family keeps the parts of a layer, as attribute paths from the layer.

    `ffn_input` is the module whose input the parallel adapter reads; `ffn_output` the module whose
    output both adapters add to. `fused` names the roles that are equal column blocks of the output of
    one projection, in their order there. `relative_bias` is the method of `attention` that computes
    position scores from queries and keys.
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
_T5_GATED = replace(_T5, ffn_in="layer.1.DenseReluDense.wi_1")

FAMILIES: Mapping[str, tuple[LayerPaths, ...]] = {
    "bert": (_BERT,),
    "roberta": (_BERT,),
    "xlm-roberta": (_BERT,),
    "electra": (_BERT,),
    "distilbert": (_DISTILBERT,),
    "mpnet": (_MPNET,),
    "deberta-v2": (_DEBERTA,),
    "gpt2": (_GPT2,),
    "llama": (_LLAMA,),
    "mistral": (_LLAMA,),
    "qwen2": (_LLAMA,),
    "qwen3": (_LLAMA,),
    "t5": (_T5, _T5_GATED),
}
"""What a layer may look like in each family: the first row whose every path exists is the one."""

NOT_PATHS = frozenset({"fused", "relative_bias"})
LAYER_LISTS = ("encoder.layer", "transformer.layer", "encoder.block", "layers", "h")
TRANSPOSED_FAMILIES = frozenset({"gpt2"})
"""Families that keep the weight of a projection as (inputs, outputs)."""
