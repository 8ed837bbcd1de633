"""What the cards of an export say can be done without Paretune is done here, word for word."""

import json
import re
import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import onnxruntime
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import BitsAndBytesConfig, pipeline
from typer.testing import CliRunner

from api_schemas.backbones import PACKAGED_REPOSITORIES
from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Peft, Quantisation, TrialConfiguration
from paretune import result_commands
from paretune.cli import app
from paretune.export import merge_exported
from paretune.plain_usage import FORMAT, QUANTISED, adapter_usage, merged_usage
from service.artifacts.artifact_store import store_at
from service.catalogue.backbones.packaged import PACKAGED_BACKBONES, packaged_directory
from tests.checkpoints import save_checkpoint
from tests.workers.conftest import CPU, KINDS
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import SubNetwork
from workers.backbones.loading import load_backbone
from workers.backbones.quantisation import quantised
from workers.peft_methods import TrialModules
from workers.saving.artifacts import FORMAT as FORMAT_OF_WORKERS
from workers.saving.artifacts import load_classifier, save_trial
from workers.saving.predictions import AnswerForm, LabelsPrediction, Prediction, ValuePrediction

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing"),
    pytest.mark.filterwarnings("ignore:Initializing zero-element"),  # of a classifier without labels
]

CLASSES = AnswerForm(labels=("no", "yes", "maybe"))
LORA = {"lora": {"rank": 2, "alpha": 4.0, "value": True, "ffn_in": True}}
WEIGHTS = {"method": "full", "first_active_layer": 1}
PROMPT = {"method": "prompt_tuning", "library": {"virtual_tokens": 3}}
TEXTS = ("a good film", ("a good film", "that is dull"))


def exported(
    kind: str,
    peft: dict[str, Any],
    folder: Path,
    *,
    answers: AnswerForm = CLASSES,
    kept: SubNetwork | None = None,
    **more: object,
) -> Path:
    """Save a trial on a small network as an export would leave it, some way from where training began."""
    save_checkpoint(kind, folder / "models" / "mine")
    configuration = TrialConfiguration.model_validate(
        {"backbone": "local:mine", "task": {"name": "t"}, "peft": peft, **more}
    )
    backbone = load_backbone(
        "local:mine", models_dir=folder / "models", device=CPU, quantisation=configuration.quantisation
    )
    if kept is not None:
        backbone = extracted(backbone, kept)
    modules = TrialModules(Peft.model_validate(peft), backbone=backbone, classes=answers.outputs, seed=0)
    generator = torch.Generator().manual_seed(2)
    with torch.no_grad():
        for parameter in modules.parameters():
            parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
    save_trial(
        modules, configuration, backbone=backbone, answers=answers, store=store_at(str(folder)), path="trial"
    )
    return folder / "trial"


@pytest.fixture(autouse=True)
def single_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    """The snippets compute in float32; so does the trial here, whatever the machine can."""
    monkeypatch.setattr("workers.backbones.loading.frozen_dtype", lambda _: torch.float32)


def answered(
    card: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Any:
    """Run the snippet of a card in its folder and give what it prints."""
    [snippet] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    # In words that the small tokenizers know.
    for ours, known in (("some text", TEXTS[0]), ("one text", TEXTS[1][0]), ("another", TEXTS[1][1])):
        snippet = snippet.replace(f'"{ours}"', f'"{known}"')
    monkeypatch.chdir(folder)
    capsys.readouterr()
    exec(compile(snippet, "README.md", "exec"), {})  # noqa: S102  that it runs is what the card promises
    return json.loads(capsys.readouterr().out.strip().replace("'", '"'))


def expected(folder: Path) -> Any:
    classifier = load_classifier(folder, models_dir=folder.parent / "models")
    answers = classifier.saved.answers
    [found] = classifier.predict([TEXTS[answers.takes_pairs]])
    if isinstance(found, LabelsPrediction):
        return found.probabilities
    return found.value if isinstance(found, ValuePrediction) else found


def check(found: Any, folder: Path) -> None:
    wanted = expected(folder)
    if isinstance(wanted, Prediction):
        assert max(found, key=found.get) == wanted.label
        wanted, found = wanted.probability, found[wanted.label]
    assert found == pytest.approx(wanted, abs=1e-4)


def test_the_card_of_a_sub_network_does_not_send_to_the_whole_backbone(tmp_path: Path) -> None:
    """Its adapter would sit in the wrong layers there, without an error."""
    text = adapter_usage(exported("bert", LORA, tmp_path, architecture={"keep_layers": 2}))
    assert "load.py" in text
    assert "export --merged" in text
    assert "from_pretrained" not in text


def test_the_card_of_fitted_blocks_says_whose_weights_they_have(tmp_path: Path) -> None:
    """Who cuts by hand would take the backbone's own."""
    folder = exported("bert", LORA, tmp_path, architecture={"keep_layers": 2, "ffn_width": 16})
    assert "refitted" not in adapter_usage(folder)
    file = folder / "configuration.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "is_refitted": True}))
    assert "with the weights of `refitted.safetensors`" in adapter_usage(folder)


SEVERAL_WIDTHS = SubNetwork(layers=(0, 2), ffn_units=(None, tuple(range(0, 32, 2))))


@pytest.mark.parametrize(
    "peft", [WEIGHTS, pytest.param(LORA, marks=pytest.mark.nightly)], ids=["weights", "lora"]
)
def test_the_snippet_for_several_widths_needs_our_loader(
    peft: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The card says that plain transformers cannot open it, and what can."""
    folder = exported("bert", peft, tmp_path, kept=SEVERAL_WIDTHS)
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    merged = merge_exported(folder)
    card = (merged / "README.md").read_text()
    assert "plain transformers cannot open it" in card
    check(answered(card, merged, monkeypatch, capsys), folder)


def test_the_command_writes_a_graph_and_times_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says what opens several widths; ONNX Runtime opens all, and answers as `load.py` does."""

    def export_trial(*_: object, folder: Path) -> Path:
        return Path(shutil.copytree(exported("bert", WEIGHTS, tmp_path, kept=SEVERAL_WIDTHS), folder))

    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    monkeypatch.setattr(result_commands, "server_that_runs", lambda _: nullcontext(Mock()))
    for name in ("find_study", "_choose"):
        monkeypatch.setattr(result_commands, name, Mock())
    monkeypatch.setattr(result_commands, "export_trial", export_trial)
    folder = tmp_path / "adapter"
    done = CliRunner().invoke(app, ["export", "latest", "--onnx", "--output", str(folder)])
    assert done.exit_code == 0, done.exception
    said = " ".join(done.output.split())
    assert "load it with paretune.load_network" in said
    assert "ms in ONNX Runtime and" in said
    session = onnxruntime.InferenceSession(folder / "merged" / "model.onnx")
    classifier = load_classifier(folder, models_dir=tmp_path / "models")
    tokens = classifier.backbone.tokenizer(TEXTS[0])
    [scores] = session.run(None, {name: [tokens[name]] for name in ("input_ids", "attention_mask")})
    [wanted] = classifier.predict([TEXTS[0]])
    assert isinstance(wanted, Prediction)
    found = torch.tensor(scores)[0].softmax(dim=0)
    assert float(found.max()) == pytest.approx(wanted.probability, abs=1e-4)


@pytest.mark.parametrize("kind", ["bert", "t5"])
def test_the_snippet_for_fine_tuned_weights_needs_transformers_alone(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are written into the backbone under their own names."""
    folder = exported(kind, WEIGHTS, tmp_path)
    card = adapter_usage(folder)
    assert "peft" not in card
    (folder / "mine").symlink_to(tmp_path / "models" / "mine")
    check(answered(card, folder, monkeypatch, capsys), folder)


@pytest.mark.parametrize("peft", [LORA, PROMPT], ids=["lora", "prompt"])
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "t5", "electra", "distilbert"])
def test_the_snippet_for_plain_peft_answers_as_the_trial_does(
    kind: str, peft: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """The class of the family, the folder of the backbone, and the head from our own file."""
    folder = exported(kind, peft, tmp_path)
    card = adapter_usage(folder)
    assert "`head.weight`" in card
    (folder / "mine").symlink_to(tmp_path / "models" / "mine")
    check(answered(card, folder, monkeypatch, capsys), folder)


@pytest.mark.parametrize(
    "answers",
    [
        AnswerForm(kind=TaskKind.MULTI_LABEL, labels=("joy", "fear")),
        AnswerForm(kind=TaskKind.REGRESSION, mean=10.0, standard_deviation=3.0),
        AnswerForm(labels=("no", "yes"), takes_pairs=True),
    ],
    ids=["labels", "a value", "pairs"],
)
def test_the_snippets_answer_in_the_form_of_the_task(
    answers: AnswerForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Several labels, a value in its own unit, or pairs; from the adapter and from the merged network."""
    folder = exported("bert", LORA, tmp_path, answers=answers)
    (folder / "mine").symlink_to(tmp_path / "models" / "mine")
    check(answered(adapter_usage(folder), folder, monkeypatch, capsys), folder)
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    merged = merge_exported(folder)
    check(answered((merged / "README.md").read_text(), merged, monkeypatch, capsys), folder)


@pytest.mark.filterwarnings("ignore:MatMul8bitLt")
def test_a_trial_in_eight_bits_is_loaded_in_eight_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The snippet says how the backbone was quantised."""
    pytest.importorskip("bitsandbytes")
    folder = exported("llama", LORA, tmp_path, quantisation="8bit")
    (folder / "mine").symlink_to(tmp_path / "models" / "mine")
    check(answered(adapter_usage(folder), folder, monkeypatch, capsys), folder)


def test_a_trial_in_four_bits_says_which() -> None:
    """On some CPUs the kernels of plain bitsandbytes need wider layers than a small network has."""
    names = {"BitsAndBytesConfig": BitsAndBytesConfig, "torch": torch}
    made = eval(QUANTISED[Quantisation.FOUR_BIT], names)  # noqa: S307  the words of the card
    ours = quantised(Quantisation.FOUR_BIT, device=CPU)["quantization_config"]
    assert made.to_dict() == ours.to_dict()


def test_a_method_without_a_format_of_peft_is_sent_to_our_loader(tmp_path: Path) -> None:
    """No snippet that could not work; where the head is stands there all the same."""
    card = adapter_usage(exported("bert", {"method": "bitfit"}, tmp_path))
    assert "use `load.py`" in card
    assert "`weights.safetensors`" in card
    assert "```" not in card


@pytest.mark.parametrize("content", [None, "{", "[]", '{"format_version": 2}'])
def test_a_folder_of_another_version_gets_no_snippet(content: str | None, tmp_path: Path) -> None:
    """The card without it is still a card."""
    if content is not None:
        (tmp_path / "configuration.json").write_text(content)
    assert adapter_usage(tmp_path) == merged_usage(tmp_path) == ""


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_merged_network_of_every_family_is_used_as_its_card_says(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With transformers alone; and nobody gets a classifier of random values out of it."""
    folder = exported(kind, LORA, tmp_path)
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    merged = merge_exported(folder)
    check(answered((merged / "README.md").read_text(), merged, monkeypatch, capsys), folder)
    configuration = json.loads((merged / "config.json").read_text())
    assert not any("Classification" in name for name in configuration["architectures"])
    with pytest.raises((ValueError, AttributeError)):
        pipeline("text-classification", str(merged))("a film that is good")


@pytest.mark.parametrize("kind", ["t5", "t5 with a gated feed-forward block", "bert", "gpt2"])
def test_a_merged_network_has_the_tensors_of_the_backbone_and_is_the_same_each_time(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No decoder of random values; two merges are equal to the byte, in every file."""
    folder = exported(kind, LORA, tmp_path)
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    first = Path(shutil.move(merge_exported(folder), tmp_path / "first"))
    second = merge_exported(folder)
    source = load_file(tmp_path / "models" / "mine" / "model.safetensors")
    assert load_file(first / "model.safetensors").keys() == source.keys()
    files = sorted(file.name for file in first.iterdir())
    assert files == sorted(file.name for file in second.iterdir())
    assert [name for name in files if (first / name).read_bytes() != (second / name).read_bytes()] == []


def test_a_pooler_that_the_backbone_lacks_is_not_made_up_by_merging(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be random, and another one each time."""
    source = save_checkpoint("bert", tmp_path / "models" / "mine")
    weights = load_file(source / "model.safetensors")
    kept = {name: tensor for name, tensor in weights.items() if "pooler" not in name}
    folder = exported("bert", LORA, tmp_path)
    save_file(kept, source / "model.safetensors", metadata={"format": "pt"})
    monkeypatch.setenv("PARETUNE_MODELS_DIR", str(tmp_path / "models"))
    assert load_file(merge_exported(folder) / "model.safetensors").keys() == kept.keys()


def test_a_packaged_backbone_is_called_by_its_repository(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peft's file and the card name what the hub has; the answers are the trial's."""
    from tests.paretune.test_export import exported as exported_on

    folder = exported_on({"method": "lora"}, tmp_path / "trial")
    repository = "sentence-transformers/all-MiniLM-L6-v2"
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] == repository
    (folder / "sentence-transformers").mkdir()
    (folder / repository).symlink_to(packaged_directory("all-MiniLM-L6-v2"))
    found = answered(adapter_usage(folder), folder, monkeypatch, capsys)
    [wanted] = load_classifier(folder).predict([TEXTS[0]])
    assert isinstance(wanted, Prediction)
    assert found[wanted.label] == pytest.approx(wanted.probability, abs=1e-4)


def test_a_local_backbone_has_no_repository(tmp_path: Path) -> None:
    """A name that only this server knows would be looked up on the hub, where it is somebody else's."""
    folder = exported("bert", LORA, tmp_path)
    assert json.loads((folder / "adapter_config.json").read_text())["base_model_name_or_path"] is None


def test_the_cards_know_what_the_workers_know() -> None:
    """The format of what is saved, and every packaged backbone."""
    assert FORMAT == FORMAT_OF_WORKERS
    assert PACKAGED_REPOSITORIES.keys() == PACKAGED_BACKBONES.keys()
