"""Backbones are frozen, understood, or refused."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceTrainer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoTokenizer,
    PreTrainedTokenizerFast,
    T5Config,
    T5Model,
)

from api_schemas.model_families import FAMILIES
from service.catalogue.backbones import by_name
from tests.checkpoints import save_checkpoint
from tests.workers.conftest import CPU, KINDS, tiny
from workers.backbones.loading import freeze, frozen_dtype, load_backbone
from workers.errors import UnsupportedBackbone
from workers.model_cache import ModelCache


@pytest.mark.parametrize(
    ("avx512", "amx", "chosen"),
    [
        (False, False, torch.float32),
        (True, False, torch.bfloat16),
        (False, True, torch.bfloat16),
    ],
)
def test_a_cpu_without_instructions_for_bfloat16_does_not_emulate_it(
    monkeypatch: pytest.MonkeyPatch, *, avx512: bool, amx: bool, chosen: torch.dtype
) -> None:
    """Either set of instructions will do."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr("torch.cpu._is_amx_tile_supported", lambda: amx)
    assert frozen_dtype(CPU) == chosen


@pytest.mark.parametrize(("native", "chosen"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_gpu_that_emulates_bfloat16_gets_float32(
    monkeypatch: pytest.MonkeyPatch, *, native: bool, chosen: torch.dtype
) -> None:
    """Torch says of every GPU that it supports bfloat16, unless it is asked without emulation."""
    monkeypatch.setattr(
        "torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or native
    )
    assert frozen_dtype(torch.device("cuda")) == chosen


def test_an_unknown_family_is_refused_with_a_list() -> None:
    """The message says what would work."""
    model = AlbertModel(
        AlbertConfig(vocab_size=10, hidden_size=8, num_attention_heads=2, intermediate_size=8)
    )
    with pytest.raises(UnsupportedBackbone, match=r"'albert' yet.*bert.*llama"):
        freeze(model, SimpleNamespace(pad_token_id=0), name="albert", device=CPU)


@pytest.fixture
def local(tmp_path: Path) -> Path:
    folder = tmp_path / "mine"
    tiny("bert").model.save_pretrained(folder)  # type: ignore[operator]  # transformers ships no types
    words = Tokenizer(WordLevel({"<pad>": 0, "word": 1}, unk_token="<pad>"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>").save_pretrained(folder)
    load_backbone("local:mine", models_dir=tmp_path, device=CPU)
    return folder


def test_files_that_were_damaged_since_are_the_trials_reason(local: Path) -> None:
    """Found by the worker before transformers reads a tensor; the worker lives on."""
    weights = local / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(UnsupportedBackbone, match=r"model.safetensors of 'local:mine' is damaged"):
        load_backbone("local:mine", models_dir=local.parent, device=CPU)


@pytest.mark.parametrize("change", ["missing", "of another shape"])
def test_weights_that_do_not_fit_are_not_replaced_by_random_ones(local: Path, change: str) -> None:
    """Transformers would fill the gap and go on with a warning."""
    weights = load_file(local / "model.safetensors")
    name = "embeddings.token_type_embeddings.weight"  # the door does not look at it
    if change == "missing":
        del weights[name]
    else:
        weights[name] = torch.zeros(5, 16)
    save_file(weights, local / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedBackbone, match=rf"do not fit its config.json: 1 tensors.*'{name}'"):
        load_backbone("local:mine", models_dir=local.parent, device=CPU)


def test_a_known_family_with_other_layers_is_refused() -> None:
    """A T5 whose feed-forward block is neither of the two kinds is not guessed at."""
    backbone = tiny("t5")
    del backbone.layers[0].layer[1].DenseReluDense.wi  # type: ignore[union-attr,index]
    with pytest.raises(UnsupportedBackbone, match="not built as the family's"):
        freeze(backbone.model, backbone.tokenizer, name="t5", device=CPU)


def test_a_low_rank_update_needs_a_linear_projection() -> None:
    """A role that another kind of module plays is refused with its name."""
    bert = tiny("bert")
    bert.layers[0].attention.self.query = torch.nn.Bilinear(4, 4, 4)  # type: ignore[union-attr]
    with pytest.raises(UnsupportedBackbone, match="query of 'bert' is no linear"):
        bert.projection(0, "query")


@pytest.mark.parametrize("kind", list(KINDS))
def test_layers_stay_whole_while_their_list_is_cut_short(kind: str) -> None:
    """The list is the model's own: cutting it cuts the forward pass, and no layer is forgotten."""
    backbone = tiny(kind)
    assert len(backbone.layers) == len(backbone.layer_list) == backbone.shape.layers == 3
    assert any(module is backbone.layer_list for module in backbone.model.modules())
    del backbone.layer_list[2]
    assert len(backbone.layers) == 3


def test_gpt2_keeps_three_projections_in_one() -> None:
    """Query, key and value are thirds of the columns; together they are the whole output."""
    backbone = tiny("gpt2")
    x = torch.randn(2, 5, 16, dtype=torch.float64)
    roles = [backbone.projection(1, role) for role in ("query", "key", "value")]
    assert [role.start for role in roles] == [0, 16, 32]
    bias = roles[0].module.get_parameter("bias")
    together = sum((role.widened(x @ role.weight.T) for role in roles), start=bias)
    assert torch.allclose(together, roles[0].module(x), atol=1e-12)


def test_the_decoder_of_t5_is_never_loaded(tmp_path: Path) -> None:
    """From a checkpoint of both halves only the encoder is read."""
    configuration = T5Config(vocab_size=10, d_model=8, d_ff=8, num_layers=1, num_heads=2, d_kv=4)
    T5Model(configuration).save_pretrained(tmp_path / "t5")
    words = Tokenizer(WordLevel({"<pad>": 0, "word": 1}, unk_token="<pad>"))
    PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>").save_pretrained(tmp_path / "t5")
    backbone = load_backbone("local:t5", models_dir=tmp_path, device=CPU)
    names = [name for name, _ in backbone.model.named_parameters()]
    assert any("encoder" in name for name in names)
    assert not any("decoder" in name for name in names)


def test_a_sentencepiece_file_is_tokenizer_enough(tmp_path: Path) -> None:
    """DeBERTa-v3 is published without a `tokenizer.json`."""
    folder = tmp_path / "deberta"
    tiny("deberta-v2").model.save_pretrained(folder)  # type: ignore[operator]  # transformers ships no types
    (tmp_path / "text").write_text("a film that is dull and a film that is not\n" * 20)
    SentencePieceTrainer.train(
        input=tmp_path / "text", model_prefix=folder / "spm", vocab_size=18, minloglevel=2
    )
    backbone = load_backbone("local:deberta", models_dir=tmp_path, device=CPU)
    assert "".join(backbone.tokenizer.tokenize("a dull film")) == "▁a▁dull▁film"


@pytest.mark.parametrize("kind", list(KINDS))
def test_the_longest_text_is_one_that_the_backbone_can_read(kind: str) -> None:
    """Where positions are learned, the shape counts those that tokens can have."""
    backbone = tiny(kind)
    ids = torch.full((1, min(600, backbone.shape.max_positions)), 5)
    output = backbone.model(input_ids=ids, attention_mask=torch.ones_like(ids))
    assert output.last_hidden_state.isfinite().all()


def test_every_family_is_tried_on_a_tiny_network() -> None:
    """A row of the table without a network in the tests would be a guess."""
    assert {configuration.model_type for configuration in KINDS.values()} == FAMILIES.keys()


def test_minilm_is_what_its_configuration_says(model_cache: ModelCache) -> None:
    """Six layers of width 384, nothing trainable, no dropout."""
    backbone = model_cache.backbone("all-MiniLM-L6-v2")
    assert (backbone.shape.layers, backbone.shape.hidden_size, backbone.shape.key_value_size) == (6, 384, 384)
    assert len(backbone.layers) == 6
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not backbone.model.training


def test_a_backbone_is_loaded_once(model_cache: ModelCache) -> None:
    """The second trial finds it where the first left it."""
    assert model_cache.backbone("all-MiniLM-L6-v2") is model_cache.backbone("all-MiniLM-L6-v2")


@pytest.mark.parametrize("special", [{"unk_token": "<unk>"}, {"eos_token": "good"}], ids=["neither", "eos"])
def test_padding_needs_no_token_of_its_own(special: dict[str, str | None], tmp_path: Path) -> None:
    """Any id will do under the mask, so a tokenizer with neither padding nor end has the first one."""
    save_checkpoint("llama", tmp_path / "mine", **special)
    backbone = load_backbone("local:mine", models_dir=tmp_path, device=CPU)
    assert backbone.tokenizer.pad_token_id == (6 if "eos_token" in special else 0)


def test_a_token_that_the_embedding_does_not_know_is_the_trials_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker asks the tokenizer itself, also where its files tell the door nothing."""
    folder = save_checkpoint("llama", tmp_path / "mine")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens([f"<extra{at}>" for at in range(43)])
    tokenizer.save_pretrained(folder)
    monkeypatch.setattr("service.catalogue.backbones.checkpoints.check_tokenizer", lambda *_, **__: None)
    with pytest.raises(UnsupportedBackbone, match=r"gives 1 tokens ids .* 50 rows.*resize_token_embeddings"):
        load_backbone("local:mine", models_dir=tmp_path, device=CPU)


def test_tensors_of_a_layer_are_not_left_out_in_silence(tmp_path: Path) -> None:
    """Biases that the configuration does not speak of would be dropped, and the network be another one."""
    folder = save_checkpoint("llama", tmp_path / "mine")
    weights = load_file(folder / "model.safetensors")
    weights |= {f"layers.{layer}.self_attn.q_proj.bias": torch.ones(16) for layer in range(3)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedBackbone, match=r"3 tensors .* not speak of, 'layers.0.self_attn.q_proj"):
        load_backbone("local:mine", models_dir=tmp_path, device=CPU)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_family_is_loaded_from_its_files(kind: str, tmp_path: Path) -> None:
    """As the door read it, with nothing missing and nothing left out."""
    save_checkpoint(kind, tmp_path / "mine")
    backbone = load_backbone("local:mine", models_dir=tmp_path, device=CPU)
    assert backbone.shape == by_name.backbone_shape("local:mine", models_dir=tmp_path)


def test_buffers_that_older_versions_saved_are_no_part_of_the_network(tmp_path: Path) -> None:
    """GPT-2 was published with its causal masks."""
    folder = save_checkpoint("gpt2", tmp_path / "mine")
    weights = load_file(folder / "model.safetensors")
    weights |= {f"h.{layer}.attn.bias": torch.ones(1, 1, 32, 32) for layer in range(3)}
    weights |= {f"h.{layer}.attn.masked_bias": torch.tensor(-1e4) for layer in range(3)}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    assert load_backbone("local:mine", models_dir=tmp_path, device=CPU).shape.layers == 3


@pytest.mark.parametrize(
    ("entry", "value"),
    [
        ("hidden_dropout_prob", "much"),
        ("hidden_act", "no such"),
        ("layer_norm_eps", [1]),
        ("type_vocab_size", -2),
    ],
)
def test_other_nonsense_in_a_configuration_is_the_trials_reason(
    entry: str, value: object, tmp_path: Path
) -> None:
    """Whatever transformers raises for it."""
    folder = save_checkpoint("bert", tmp_path / "mine")
    configuration = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**configuration, entry: value}))
    with pytest.raises(UnsupportedBackbone, match="local:mine"):
        load_backbone("local:mine", models_dir=tmp_path, device=CPU)


def test_a_pooler_that_the_files_lack_is_not_made_up(tmp_path: Path) -> None:
    """It would be random, and an export would keep it."""
    folder = save_checkpoint("bert", tmp_path / "mine")
    weights = load_file(folder / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    backbone = load_backbone("local:mine", models_dir=tmp_path, device=CPU)
    assert backbone.model.state_dict().keys() == kept.keys()
