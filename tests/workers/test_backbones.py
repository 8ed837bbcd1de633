"""Backbones are frozen, understood, or refused."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceTrainer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AlbertConfig, AlbertModel, PreTrainedTokenizerFast, T5Config, T5Model

from service import catalogue
from tests.workers.conftest import CPU, KINDS, tiny
from workers.backbones import Backbone, freeze, frozen_dtype, load_backbone
from workers.errors import UnsupportedBackbone
from workers.families import FAMILIES
from workers.resident import ResidentParts


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
    name = "encoder.layer.1.output.dense.weight"
    if change == "missing":
        del weights[name]
    else:
        weights[name] = torch.zeros(2, 3)
    save_file(weights, local / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UnsupportedBackbone, match=rf"do not fit its config.json: 1 tensors.*'{name}'"):
        load_backbone("local:mine", models_dir=local.parent, device=CPU)


def test_a_known_family_with_other_layers_is_refused() -> None:
    """A T5 whose feed-forward block is neither of the two kinds is not guessed at."""
    backbone = tiny("t5")
    del backbone.layers[0].layer[1].DenseReluDense.wi  # type: ignore[union-attr,index]
    with pytest.raises(UnsupportedBackbone, match="not built as the family's"):
        freeze(backbone.model, backbone.tokenizer, name="t5", device=CPU)


def test_a_low_rank_update_needs_a_linear_projection(bert: Backbone) -> None:
    """A role that another kind of module plays is refused with its name."""
    bert.layers[0].attention.self.query = torch.nn.Bilinear(4, 4, 4)  # type: ignore[union-attr]
    with pytest.raises(UnsupportedBackbone, match="query of 'bert' is no linear"):
        bert.projection(0, "query")


def test_layers_stay_whole_while_their_list_is_cut_short(backbone: Backbone) -> None:
    """The list is the model's own: cutting it cuts the forward pass, and no layer is forgotten."""
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


def test_the_door_admits_exactly_the_families_that_can_be_trained() -> None:
    """A study on another family is refused when it is posted, not trial by trial."""
    assert FAMILIES.keys() == catalogue.SUPPORTED_FAMILIES


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


def test_minilm_is_what_its_configuration_says(resident: ResidentParts) -> None:
    """Six layers of width 384, nothing trainable, no dropout."""
    backbone = resident.backbone("all-MiniLM-L6-v2")
    assert (backbone.shape.layers, backbone.shape.hidden_size, backbone.shape.key_value_size) == (6, 384, 384)
    assert len(backbone.layers) == 6
    assert not any(parameter.requires_grad for parameter in backbone.model.parameters())
    assert not backbone.model.training


def test_a_backbone_is_loaded_once(resident: ResidentParts) -> None:
    """The second trial finds it where the first left it."""
    assert resident.backbone("all-MiniLM-L6-v2") is resident.backbone("all-MiniLM-L6-v2")
