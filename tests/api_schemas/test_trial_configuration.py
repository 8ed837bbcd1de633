"""Patching reaches every path, and configurations that train the same network are the same."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api_schemas.peft.canonical import canonical_peft
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch

BASE = TrialConfiguration.model_validate(
    {"backbone": "b", "task": {"name": "t"}, "peft": {"active_layers": [True, True, True]}}
)


@pytest.mark.parametrize(
    "path", ["peft.active_layers.3", "peft.adapters.size", "nothing", "peft.lora.rank.deep"]
)
def test_an_unknown_path_is_named(path: str) -> None:
    """A path that does not exist is an error that carries the path."""
    with pytest.raises(KeyError, match=path):
        patch(BASE, {path: True})


def test_an_illegal_value_is_refused() -> None:
    """A negative size is refused by the configuration's own type."""
    with pytest.raises(ValidationError):
        patch(BASE, {"peft.lora.rank": -1})


def test_a_patch_sets_exactly_its_paths() -> None:
    """Nested settings and list items are reached; everything else stays."""
    patched = patch(BASE, {"peft.active_layers.1": False, "training.learning_rate": 0.5})
    assert patched.peft.active_layers == (True, False, True)
    assert patched.training.learning_rate == 0.5
    assert patched.peft.lora == BASE.peft.lora


def test_modules_without_layers_are_the_linear_probe() -> None:
    """Sizes mean nothing where no layer is on."""
    off = patch(BASE, {f"peft.active_layers.{layer}": False for layer in range(3)})
    assert canonical(patch(off, {"peft.serial_adapter.bottleneck_size": 8})) == canonical(off)
    assert off.is_head_only


def test_layers_without_modules_are_the_linear_probe() -> None:
    """Layers mean nothing where every size is zero."""
    assert canonical(BASE) == canonical(patch(BASE, {"peft.active_layers.0": False}))
    assert BASE.is_head_only


def test_every_layer_is_more_than_the_linear_probe() -> None:
    """Null layers mean all of them, not none."""
    everywhere = TrialConfiguration.model_validate(
        {"backbone": "b", "task": {"name": "t"}, "peft": {"lora": {"rank": 8}}}
    )
    assert not everywhere.is_head_only
    assert patch(everywhere, {"peft.lora.rank": 0}).is_head_only


def test_hold_out_that_is_said_is_hold_out() -> None:
    """Whoever says it trains what those trained who had no choice; folds are something else."""
    said, dealt = (
        TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t", "resampling": resampling}})
        for resampling in ("hold_out", {"folds": 5})
    )
    plain = TrialConfiguration.model_validate({"backbone": "b", "task": {"name": "t"}})
    assert canonical(said).model_dump_json() == canonical(plain).model_dump_json()
    assert canonical(dealt).task.folds == 5


def test_settings_of_an_absent_module_do_not_matter() -> None:
    """Alpha of a rank-0 LoRA, and LoRA without targets, change nothing."""
    adapter = patch(BASE, {"peft.serial_adapter.bottleneck_size": 8})
    assert canonical(patch(adapter, {"peft.lora.alpha": 3.0})) == canonical(adapter)
    aimless = {"peft.lora.rank": 8, "peft.lora.query": False, "peft.lora.value": False}
    assert canonical(patch(adapter, aimless)) == canonical(adapter)


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 2), st.integers(0, 2))
def test_canonical_is_idempotent(layers: list[bool], serial: int, rank: int) -> None:
    """Taking the representative twice changes nothing."""
    peft = Peft.model_validate(
        {
            "active_layers": layers,
            "serial_adapter": {"bottleneck_size": serial},
            "lora": {"rank": rank, "alpha": 2.0},
        }
    )
    once = canonical(BASE.model_copy(update={"peft": peft}))
    assert canonical(once) == once


SIZES = st.lists(st.sampled_from([0, 0, 4, 8]), min_size=3, max_size=3)
RANKS = st.lists(
    st.fixed_dictionaries({"query": st.sampled_from([0, 2]), "ffn_in": st.sampled_from([0, 2, 3])}),
    min_size=3,
    max_size=3,
)


@given(st.lists(st.booleans(), min_size=3, max_size=3), st.integers(0, 3), SIZES, SIZES, RANKS)
def test_the_representative_has_the_same_modules(
    layers: list[bool], first: int, serial: list[int], prefix: list[int], ranks: list[dict[str, int]]
) -> None:
    """Whatever the spelling, each layer keeps its sizes, and the representative is its own."""
    peft = Peft.model_validate(
        {
            "active_layers": layers,
            "first_active_layer": first,
            "serial_adapter": {"by_layer": serial},
            "prefix_tuning": {"by_layer": prefix},
            "lora": {"by_layer": ranks},
        }
    )
    once = canonical_peft(peft)
    for layer in range(3):
        on = layers[layer] and layer >= first
        assert once.serial_adapter.size_at(layer) * once.is_active(layer) == serial[layer] * on
        assert once.prefix_tuning.size_at(layer) * once.is_active(layer) == prefix[layer] * on
        found = once.lora.ranks_at(layer).present() if once.is_active(layer) else {}
        assert found == ({role: rank for role, rank in ranks[layer].items() if rank} if on else {})
    assert canonical_peft(once) == once


def test_one_size_and_a_list_of_it_are_the_same() -> None:
    """So are a switch that is off and a size of zero, and a first layer and the switches below it."""
    one_size = Peft.model_validate(
        {"active_layers": [False, True, True], "serial_adapter": {"bottleneck_size": 8}}
    )
    listed = Peft.model_validate({"serial_adapter": {"by_layer": [0, 8, 8]}})
    first = Peft.model_validate(
        {
            "active_layers": [True, True, True],
            "first_active_layer": 1,
            "serial_adapter": {"bottleneck_size": 8},
        }
    )
    assert canonical_peft(one_size) == canonical_peft(listed) == canonical_peft(first) == one_size


def test_settings_that_a_method_does_not_read_do_not_matter() -> None:
    """OFT reads no rank, no method of the library our own modules, and our own modules no library."""
    oft = patch(BASE, {"peft.method": "oft"})
    unread = {"peft.library.rank": 3, "peft.library.virtual_tokens": 7, "peft.lora.rank": 8}
    assert canonical(patch(oft, unread)) == canonical(oft)
    assert canonical(patch(oft, {"peft.library.block_size": 8})) != canonical(oft)
    own = patch(BASE, {"peft.lora.rank": 8})
    assert canonical(patch(own, {"peft.library.rank": 3})) == canonical(own)


@pytest.mark.parametrize(
    "parameters",
    [
        {"peft.method": "head_only", "peft.library.rank": 3, "peft.lora.rank": 8},
        {"peft.method": "lora", "peft.library.query": False, "peft.library.value": False},
        {"peft.method": "bitfit", **{f"peft.active_layers.{layer}": False for layer in range(3)}},
    ],
)
def test_a_method_without_a_place_is_the_linear_probe(parameters: dict[str, bool | int | str]) -> None:
    """No projection, no layer, or nothing but the head asked for."""
    configuration = patch(BASE, dict(parameters))
    assert configuration.is_head_only
    assert canonical(configuration) == canonical(BASE)


def test_prompts_know_no_layers() -> None:
    """Switching layers off leaves the same prompt."""
    prompt = patch(BASE, {"peft.method": "prompt_tuning"})
    off = patch(prompt, {f"peft.active_layers.{layer}": False for layer in range(3)})
    assert canonical(off) == canonical(prompt)
    assert not off.is_head_only


@given(st.sampled_from(PeftMethod), st.integers(1, 9), st.booleans())
def test_canonical_is_idempotent_for_every_method(method: PeftMethod, rank: int, query: bool) -> None:
    """Taking the representative twice changes nothing."""
    settings = {"peft.library.rank": rank, "peft.library.query": query, "peft.library.value": False}
    once = canonical(patch(BASE, {"peft.method": method.value, **settings}))
    assert canonical(once) == once
