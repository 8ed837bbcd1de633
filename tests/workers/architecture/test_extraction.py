"""A sub-network computes what the backbone computes without the parts that were left out."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.workers.conftest import tiny, unchanged
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork, everything, without
from workers.backbones.loading import Backbone, model_class
from workers.errors import UnsupportedBackbone

IDS = torch.tensor([[3, 4, 5, 6], [7, 8, 9, 1]])
MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0]])
UNITS = (0, 3, 4, 9, 17, 30)
LAYERS = 3
HAS_CONVOLUTION = "deberta-v2 with own position projections"


def hidden(model: Any) -> Tensor:
    with torch.inference_mode():
        states: Tensor = model(input_ids=IDS, attention_mask=MASK, use_cache=False).last_hidden_state
    return states[MASK.bool()]


@contextmanager
def zeroed(backbone: Backbone, units: tuple[int, ...]) -> Iterator[None]:
    """Let the second projection of each block read zeros for all other units."""
    gate = torch.zeros(backbone.shape.ffn_size, dtype=torch.float64)
    gate[list(units)] = 1.0
    handles = [
        backbone.part(layer, "ffn_out").register_forward_pre_hook(lambda _, inputs: (inputs[0] * gate,))
        for layer in range(LAYERS)
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def skipped(backbone: Backbone, layer: int) -> Iterator[None]:
    """Let a layer hand on what it gets, and whatever else it puts out."""

    def hand_on(_: Any, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        given = inputs[0] if inputs else named["hidden_states"]
        return (given, *output[1:]) if isinstance(output, tuple) else given

    handle = backbone.layers[layer].register_forward_hook(hand_on, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()


def reloaded(smaller: Backbone, folder: Path) -> Any:
    model: Any = smaller.model
    model.save_pretrained(folder)
    loaded, report = model_class(smaller.shape.model_type).from_pretrained(
        folder, dtype=torch.float64, output_loading_info=True
    )
    assert not any(report[name] for name in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return loaded.eval()


def test_a_sub_network_without_layers_is_refused(bert: Backbone) -> None:
    """At least one layer stays, and the refusal says so."""
    with pytest.raises(UnsupportedBackbone, match="at least one of each must stay"):
        extracted(bert, SubNetwork(layers=(), ffn_units=()))


@pytest.mark.parametrize(
    ("layers", "units"),
    [((0, 3), None), ((1, 0), None), ((0, 1), (32,)), ((0, 1), (-1, 2)), ((0, 1), ())],
    ids=["no such layer", "out of order", "no such unit", "counted from the end", "no unit"],
)
def test_what_the_backbone_does_not_have_is_refused(
    bert: Backbone, layers: tuple[int, ...], units: tuple[int, ...] | None
) -> None:
    """A saved sub-network may come from another backbone."""
    with pytest.raises(UnsupportedBackbone, match="3 layers and 32 units"):
        extracted(bert, SubNetwork(layers=layers, ffn_units=(units,) * len(layers)))


def with_heads(*of_layers: tuple[int, ...]) -> SubNetwork:
    return SubNetwork(layers=(0, 1, 2), ffn_units=(None,) * LAYERS, heads=of_layers)


@pytest.mark.parametrize(
    ("kind", "heads", "reason"),
    [
        ("bert", ((0,), (0,), (0,)), "gives a head no width of its own"),
        ("qwen2", ((0, 2), (0, 2), (0, 2)), "gives a head no width of its own"),
        ("llama", ((0, 2), (0, 2), (0, 1, 2, 3)), "as many of them must stay in each layer"),
        ("llama", ((0, 4), (0, 2), (0, 2)), "it has 4 heads"),
        ("llama", ((), (), ()), "it has 4 heads"),
        ("llama", ((0, 1), (0, 2), (0, 2)), "each of its 2 heads of keys and values"),
        ("t5", ((0,), (1,), (0,)), "they keep the same heads"),
    ],
)
def test_heads_that_no_plain_configuration_describes_are_refused(
    kind: str, heads: tuple[tuple[int, ...], ...], reason: str
) -> None:
    """The refusal says what stands in the way."""
    with unchanged(kind) as shared, pytest.raises(UnsupportedBackbone, match=reason):
        extracted(shared, with_heads(*heads))


def gated(gate: Tensor, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    return (inputs[0] * gate,)


HEADS = {
    "llama": ((0, 3), (1, 2), (0, 2)),
    "qwen3": ((1, 3), (0, 2), (1, 2)),
    "t5": ((1, 2, 3),) * LAYERS,
    "t5 with a gated feed-forward block": ((0, 2),) * LAYERS,
}


@pytest.mark.parametrize("kind", HEADS)
def test_heads_that_are_left_out_count_as_zero(kind: str, tmp_path: Path) -> None:
    """Attention puts out what the other heads do, and transformers opens what is left."""
    with unchanged(kind) as shared:
        smaller = extracted(shared, with_heads(*HEADS[kind]))
        size = shared.shape.query_size // 4
        handles = []
        for layer, kept in enumerate(HEADS[kind]):
            gate = torch.zeros(4, size, dtype=torch.float64)
            gate[list(kept)] = 1.0
            reader = shared.part(layer, "attention_output")
            handles.append(reader.register_forward_pre_hook(partial(gated, gate.flatten())))
        expected = hidden(shared.model)
        for handle in handles:
            handle.remove()
    torch.testing.assert_close(hidden(smaller.model), expected)
    assert smaller.shape.query_size == len(HEADS[kind][0]) * size
    loaded = reloaded(smaller, tmp_path)
    assert torch.equal(hidden(loaded), hidden(smaller.model))


def test_layers_may_have_several_widths(bert: Backbone) -> None:
    """Each block has its own; the configuration, which has one number, says the largest."""
    smaller = extracted(bert, SubNetwork(layers=(0, 2), ffn_units=(UNITS, UNITS[:2])))
    widths = [smaller.part(layer, "ffn_in").get_parameter("weight").shape[0] for layer in range(2)]
    assert widths == [6, 2]
    assert smaller.shape.ffn_size == 6


def test_t5_keeps_the_layer_with_the_position_bias() -> None:
    """Without its first layer the others would not know where a token stands."""
    with unchanged("t5") as t5, pytest.raises(UnsupportedBackbone, match="position bias"):
        extracted(t5, without(0, layer_count=LAYERS))


def test_a_convolution_beside_the_layers_is_refused() -> None:
    """It was trained between layers that would no longer be neighbours."""
    with unchanged(HAS_CONVOLUTION) as deberta, pytest.raises(UnsupportedBackbone, match="convolution"):
        extracted(deberta, without(1, layer_count=LAYERS))


def test_quantised_weights_are_refused() -> None:
    """Rows of packed weights cannot be taken out one by one."""
    bert = tiny("bert")
    bert.model.is_quantized = True  # type: ignore[assignment]
    with pytest.raises(UnsupportedBackbone, match="quantised"):
        extracted(bert, everything(LAYERS))


def test_everything_kept_is_the_backbone(backbone: Backbone) -> None:
    """To the last bit, also where every unit is taken out and put in again."""
    every = tuple(range(backbone.shape.ffn_size))
    whole = SubNetwork(layers=(0, 1, 2), ffn_units=(every,) * LAYERS)
    for kept in (everything(LAYERS), whole):
        smaller = extracted(backbone, kept)
        assert torch.equal(hidden(smaller.model), hidden(backbone.model))
        assert smaller.shape == backbone.shape


def test_a_layer_that_is_left_out_is_skipped(backbone: Backbone) -> None:
    """The layers behind it read what it would have read."""
    if backbone.name == HAS_CONVOLUTION:
        pytest.skip("its layers cannot be left out")
    smaller = extracted(backbone, without(1, layer_count=LAYERS))
    with skipped(backbone, 1):
        expected = hidden(backbone.model)
    assert torch.equal(hidden(smaller.model), expected)
    assert smaller.shape.layers == len(smaller.layers) == 2


def test_units_that_are_left_out_count_as_zero(backbone: Backbone) -> None:
    """The block adds what the other units put out."""
    smaller = extracted(backbone, SubNetwork(layers=(0, 1, 2), ffn_units=(UNITS,) * LAYERS))
    with zeroed(backbone, UNITS):
        expected = hidden(backbone.model)
    torch.testing.assert_close(hidden(smaller.model), expected)
    assert smaller.shape.ffn_size == len(UNITS)


def test_transformers_loads_what_a_sub_network_saves(backbone: Backbone, tmp_path: Path) -> None:
    """As a plain model of the family: the sizes in the file fit the tensors, and nothing is missing."""
    if backbone.name == HAS_CONVOLUTION:
        pytest.skip("its layers cannot be left out")
    smaller = extracted(backbone, SubNetwork(layers=(0, 2), ffn_units=(UNITS, UNITS)))
    assert torch.equal(hidden(reloaded(smaller, tmp_path)), hidden(smaller.model))


def test_weights_that_are_kept_whole_are_not_copied(bert: Backbone) -> None:
    """A worker holds a sub-network beside the backbone at the cost of what was cut."""
    smaller = extracted(bert, SubNetwork(layers=(0, 2), ffn_units=(UNITS, UNITS)))
    own = {id(parameter) for parameter in bert.model.parameters()}
    new = [name for name, parameter in smaller.model.named_parameters() if id(parameter) not in own]
    assert new
    assert all(".intermediate." in name or ".output.dense.weight" in name for name in new)
    assert smaller.hub_repository is None


def test_the_layers_of_a_decoder_are_numbered_anew(llama: Backbone) -> None:
    """Otherwise a key-value cache would have holes."""
    smaller = extracted(llama, without(0, layer_count=LAYERS))
    model: nn.Module = deepcopy(smaller.model)
    assert [layer.self_attn.layer_idx for layer in smaller.layers] == [0, 1]
    with torch.inference_mode():
        at_once = model(input_ids=IDS).last_hidden_state
        begun = model(input_ids=IDS[:, :2], use_cache=True)
        rest = model(input_ids=IDS[:, 2:], past_key_values=begun.past_key_values, use_cache=True)
    torch.testing.assert_close(rest.last_hidden_state, at_once[:, 2:])
