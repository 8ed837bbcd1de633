"""A checkpoint of every family is read at the door as transformers loads it, and what differs is refused."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModel, BartConfig, BartModel, PretrainedConfig

from api_schemas.trial_configuration import Quantisation
from service.catalogue.backbones import by_name
from service.errors import UnknownBackbone
from tests.checkpoints import save_tokenizer
from tests.service.catalogue.backbones.conftest import read, refused
from tests.workers.conftest import KINDS
from workers.backbones.loading import model_class

Change = Callable[[dict[str, torch.Tensor]], None]


def configure(folder: Path, **entries: Any) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


def change_weights(folder: Path, change: Change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_door_reads_the_sizes_that_the_network_has(kind: str, all_kinds: dict[str, Path]) -> None:
    """Of every family, plain and as the transformer inside a model with a head."""
    shape = read(all_kinds[kind]).shape
    embedding = model_class(shape.model_type).from_pretrained(all_kinds[kind]).get_input_embeddings()
    assert (shape.model_type, shape.layers, shape.hidden_size) == (KINDS[kind].model_type, 3, 16)
    assert shape.embedding_width == embedding.embedding_dim


@pytest.mark.parametrize("kind", ["bert", "roberta", "gpt2", "llama", "distilbert", "mpnet", "electra"])
def test_names_under_a_head_are_the_same_network(
    kind: str, all_kinds: dict[str, Path], tmp_path: Path
) -> None:
    """A masked or causal language model keeps the transformer under a prefix."""
    folder = Path(shutil.copytree(all_kinds[kind], tmp_path / "mine"))
    prefix = AutoModel.from_pretrained(folder).base_model_prefix

    def put_under(weights: dict[str, torch.Tensor]) -> None:
        for name in list(weights):
            weights[f"{prefix}.{name}"] = weights.pop(name)

    change_weights(folder, put_under)
    assert read(folder) == read(all_kinds[kind])


def test_shards_are_one_network(bert: Path) -> None:
    """Read together; a tensor that is not in the shard that the index names is missed."""
    model = AutoModel.from_pretrained(bert)
    (bert / "model.safetensors").unlink()
    model.save_pretrained(bert, max_shard_size="20KB")
    assert len(list(bert.glob("model-*.safetensors"))) > 1
    assert read(bert).shape.layers == 3
    index = bert / "model.safetensors.index.json"
    listed = json.loads(index.read_text())
    name = "encoder.layer.2.output.dense.weight"
    listed["weight_map"][name] = listed["weight_map"]["embeddings.LayerNorm.bias"]
    index.write_text(json.dumps(listed))
    refused(bert, f"lacks '{name}'|lacks 'embeddings")


def test_a_shard_outside_the_folder_is_not_opened(bert: Path) -> None:
    """The index names files beside it."""
    (bert / "model.safetensors").rename(bert.parent / "model.safetensors")
    index = {"weight_map": {"embeddings.word_embeddings.weight": "../model.safetensors"}}
    (bert / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(bert, "index.json of 'local:mine' is damaged")


@pytest.mark.parametrize("family", ["bart", "albert", "gpt_neox", "tree", "BERT"])
def test_another_family_is_refused_with_the_list(family: str, bert: Path) -> None:
    """Whatever its sizes are called."""
    (bert / "config.json").write_text(json.dumps({"model_type": family, "d_model": 8}))
    refused(bert, f"of the family '{family}'.*bert.*llama")


def test_bart_is_refused_with_the_list(tmp_path: Path) -> None:
    """It has layers and heads, but in two halves."""
    configuration = BartConfig(
        vocab_size=20, d_model=8, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=8, decoder_ffn_dim=8,
    )  # fmt: skip
    BartModel(configuration).save_pretrained(tmp_path / "mine")
    save_tokenizer(tmp_path / "mine")
    refused(tmp_path / "mine", r"'bart'.*These can: bert.*llama.*t5")


@pytest.mark.parametrize("family", [None, 3, ["bert"], {}])
def test_a_family_that_is_no_name_is_refused(family: object, bert: Path) -> None:
    """As where there is none."""
    configure(bert, model_type=family)
    refused(bert, "no model_type that names a family")


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("num_hidden_layers", 0), ("num_hidden_layers", -3), ("num_hidden_layers", 1001),
        ("num_hidden_layers", 10**30), ("num_hidden_layers", "3"), ("num_hidden_layers", 3.0),
        ("num_hidden_layers", True), ("num_hidden_layers", [3]), ("num_hidden_layers", 1e308),
        ("hidden_size", 0), ("hidden_size", -16), ("hidden_size", 10**9), ("hidden_size", "many"),
        ("num_attention_heads", 0), ("num_attention_heads", 17), ("num_attention_heads", {}),
        ("intermediate_size", 0), ("intermediate_size", 10**12),
        ("max_position_embeddings", 0), ("max_position_embeddings", -1), ("max_position_embeddings", "512"),
        ("vocab_size", 0), ("vocab_size", -50), ("vocab_size", "fifty"), ("pad_token_id", 50),
        ("pad_token_id", "<pad>"), ("pad_token_id", -51), ("embedding_size", 0),
    ],
)  # fmt: skip
def test_an_absurd_number_is_refused_with_its_entry(entry: str, value: object, bert: Path) -> None:
    """Negative, zero, huge, a string or a fraction: the sentence names it and what may stand there."""
    configure(bert, **{"model_type": "electra" if entry == "embedding_size" else "bert", entry: value})
    refused(bert, rf"config.json of 'local:mine' says {entry}: .*a whole number from")


@pytest.mark.parametrize("family", ["roberta", "xlm-roberta", "mpnet"])
@pytest.mark.parametrize("pad", [None, 511, -1])
def test_positions_are_numbered_from_behind_the_padding(family: str, pad: object, bert: Path) -> None:
    """Where no position would be left, or none is said, the network could read nothing."""
    configure(bert, model_type=family, vocab_size=600, pad_token_id=pad)
    refused(bert, "pad_token_id")


@pytest.mark.parametrize(
    ("heads", "key_value_heads"), [(3, None), (4, 3)], ids=["of the width", "of the heads"]
)
def test_heads_must_divide(heads: int, key_value_heads: int | None, all_kinds: dict[str, Path]) -> None:
    """Else the sizes of the projections would be guessed."""
    configuration = {
        "model_type": "llama", "num_hidden_layers": 3, "hidden_size": 16, "intermediate_size": 32,
        "num_attention_heads": heads, "num_key_value_heads": key_value_heads,
    }  # fmt: skip
    with pytest.raises(UnknownBackbone, match="does not add up"):
        by_name.shape_from_configuration(configuration)


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ({"position_embedding_type": "relative_key"}, "position_embedding_type 'relative_key'"),
        ({"add_cross_attention": True, "is_decoder": True}, "cross-attention"),
        ({"chunk_size_feed_forward": 3}, "chunk_size_feed_forward.* Set it to 0"),
    ],
)
def test_what_would_be_loaded_as_another_network_is_refused(
    entries: dict[str, Any], complaint: str, bert: Path
) -> None:
    """Transformers ignores the entry, or the weights of the other half."""
    configure(bert, **entries)
    refused(bert, complaint)


@pytest.mark.parametrize(
    "given",
    [
        {"quant_method": "gptq", "bits": 4}, {"quant_method": "awq", "bits": 4}, {"quant_method": "gguf"},
        {"quant_method": "compressed-tensors"}, {"quant_method": "fp8"}, {"quant_method": "bitsandbytes"},
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "load_in_8bit": True}, "gptq", [4],
        {"quant_method": ["gptq"]},
    ],
)  # fmt: skip
def test_other_quantised_folders_are_refused(given: object, bert: Path) -> None:
    """The sentence names the method and the way out."""
    configure(bert, quantization_config=given)
    refused(bert, "is already quantised .*set `quantisation`")


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        ({"quant_method": "bitsandbytes", "load_in_4bit": True}, Quantisation.FOUR_BIT),
        ({"quant_method": "bitsandbytes", "_load_in_8bit": True}, Quantisation.EIGHT_BIT),
        ({"load_in_8bit": True}, Quantisation.EIGHT_BIT),
        ({}, None),
        (None, None),
    ],
)
def test_what_bitsandbytes_made_is_known(given: object, bits: Quantisation | None) -> None:
    """In its spellings of several years."""
    configuration = {**KINDS["bert"].to_dict(), "quantization_config": given}
    assert by_name.read_configuration("local:mine", configuration).quantised is bits


def missing(weights: dict[str, torch.Tensor]) -> None:
    del weights["encoder.layer.1.output.dense.weight"]


def missing_bias(weights: dict[str, torch.Tensor]) -> None:
    del weights["encoder.layer.1.output.dense.bias"]


def missing_layer(weights: dict[str, torch.Tensor]) -> None:
    for name in [name for name in weights if ".2." in name]:
        del weights[name]


def pruned(weights: dict[str, torch.Tensor]) -> None:
    weights["encoder.layer.2.attention.self.query.weight"] = torch.zeros(12, 16)


def narrow_embedding(weights: dict[str, torch.Tensor]) -> None:
    weights["embeddings.word_embeddings.weight"] = torch.zeros(50, 8)


def short_embedding(weights: dict[str, torch.Tensor]) -> None:
    weights["embeddings.word_embeddings.weight"] = torch.zeros(49, 16)


def no_embedding(weights: dict[str, torch.Tensor]) -> None:
    del weights["embeddings.word_embeddings.weight"]


def embedding_of_bytes(weights: dict[str, torch.Tensor]) -> None:
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"].to(torch.int8)


def positions_of_bytes(weights: dict[str, torch.Tensor]) -> None:
    name = "embeddings.position_embeddings.weight"
    weights[name] = weights[name].to(torch.float8_e4m3fn)


def few_positions(weights: dict[str, torch.Tensor]) -> None:
    weights["embeddings.position_embeddings.weight"] = torch.zeros(256, 16)


def bytes_alone(weights: dict[str, torch.Tensor]) -> None:
    name = "encoder.layer.0.attention.self.query.weight"
    weights[name] = torch.zeros(16, 16, dtype=torch.int8)


def packed(weights: dict[str, torch.Tensor]) -> None:
    name = "encoder.layer.0.attention.self.query.weight"
    weights[name] = torch.zeros(128, 1, dtype=torch.uint8)
    weights[f"{name}.absmax"] = torch.zeros(4)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (missing, "layer 1 has no 'output.dense.weight'"),
        (missing_bias, "layers 0 and 1 differ in 'output.dense.bias'"),
        (missing_layer, "layer 2 is missing"),
        (pruned, "'attention.self.query.weight' of layer 2 is 12 x 16 and should be 16 x 16"),
        (narrow_embedding, "the embedding is 50 x 8 and should be 50 x 16"),
        (short_embedding, "the embedding is 49 x 16 and should be 50 x 16"),
        (no_embedding, "no embedding of tokens"),
        (embedding_of_bytes, "the embedding is in I8"),
        (positions_of_bytes, "position_embeddings.weight' is in F8_E4M3"),
        (few_positions, "position_embeddings.weight' is 256 x 16 and should be 512 x 16"),
        (bytes_alone, "of layer 0 is in I8, and nothing says how to read that"),
        (packed, "packed in 4 bits, and no quantization_config says so"),
    ],
)
def test_weights_that_do_not_fit_are_refused_at_the_door(change: Change, complaint: str, bert: Path) -> None:
    """Transformers would put random values there and go on."""
    change_weights(bert, change)
    refused(bert, f"weights of 'local:mine' do not fit its config.json: .*{complaint}")


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_sizes_of_every_family_are_compared(
    kind: str, all_kinds: dict[str, Path], tmp_path: Path
) -> None:
    """A wider feed-forward block than the weights have is another count of trained scalars."""
    folder = Path(shutil.copytree(all_kinds[kind], tmp_path / "mine"))
    entry = next(
        name for name in ("intermediate_size", "n_inner", "hidden_dim", "d_ff")
        if name in PretrainedConfig.get_config_dict(folder)[0]
    )  # fmt: skip
    configure(folder, **{entry: 48})
    refused(folder, "of layer 0 is .* and should be .*48")


def test_a_factorised_embedding_is_measured(all_kinds: dict[str, Path], tmp_path: Path) -> None:
    """ELECTRA's may be narrower than its layers; a configuration that says otherwise is refused."""
    assert read(all_kinds["electra"]).shape.embedding_width == 8
    folder = Path(shutil.copytree(all_kinds["electra"], tmp_path / "mine"))
    configure(folder, embedding_size=16)
    refused(folder, "the embedding is 50 x 8 and should be 50 x 16")


def test_an_adapter_beside_the_weights_is_refused(bert: Path) -> None:
    """Transformers would load the network that the adapter names, in place of the folder's."""
    (bert / "adapter_config.json").write_text(json.dumps({"base_model_name_or_path": "somebody/else"}))
    refused(bert, "adapter of peft beside the weights.* Merge it")
