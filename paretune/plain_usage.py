"""How an exported trial is used without Paretune: the snippets of its cards. Knows files, loads no torch."""

import json
from pathlib import Path
from typing import Any

from api_schemas.backbones import hub_repository
from api_schemas.model_families import FAMILIES
from api_schemas.tasks import TaskKind
from api_schemas.trial_configuration import Quantisation, TrialConfiguration

ADAPTER = "adapter_config.json"
SAVED = "configuration.json"
FORMAT = 3
QUANTISED = {
    Quantisation.EIGHT_BIT: "BitsAndBytesConfig(load_in_8bit=True)",
    Quantisation.FOUR_BIT: (
        'BitsAndBytesConfig(\n    load_in_4bit=True, bnb_4bit_quant_type="nf4",\n'
        "    bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=torch.float32,\n)"
    ),
}
ANSWERS = {
    TaskKind.CLASSIFICATION: 'print(dict(zip(answers["labels"], scores[0].softmax(dim=0).tolist())))',
    TaskKind.MULTI_LABEL: 'print(dict(zip(answers["labels"], scores[0].sigmoid().tolist())))',
    TaskKind.REGRESSION: 'print(answers["mean"] + answers["standard_deviation"] * scores[0, 0].item())',
}
OF_PEFT = (
    'model = PeftModel.from_pretrained(model, ".").eval()',
    'head = load_file("weights.safetensors")',
)
OWN_WEIGHTS = (
    'head = load_file("weights.safetensors")',
    'trained = {name.removeprefix("library."): weight for name, weight in head.items()}',
    "model.load_state_dict(trained, strict=False)",
    "model.eval()",
)
ALONE = "With `transformers` alone, in this folder."
SEVERAL_WIDTHS = (
    "Its layers have feed-forward blocks of several widths, which no `config.json` describes: plain "
    "transformers cannot open it. `paretune.load_network` does, in this folder, from `network.json` and "
    "`network.safetensors`; `paretune export --onnx` writes a graph that ONNX Runtime opens."
)
FITTED = ", with the weights of `refitted.safetensors` where its narrower blocks read their units"
WHERE_THE_HEAD_IS = (
    "The head is a linear map of the mean of the hidden states over the text's tokens. It stands in "
    "`weights.safetensors` as `head.weight` and `head.bias`"
)


def adapter_usage(folder: Path) -> str:
    """Return how an exported folder is used with transformers, with peft where peft has it, and its head."""
    saved = _saved(folder)
    if saved is None:
        return ""
    configuration = TrialConfiguration.model_validate(saved["configuration"])
    if configuration.architecture is not None:
        return _section(
            "Without Paretune",
            "What this trial trained belongs to a part of the backbone, which `sub_network` in "
            f"`configuration.json` lists{FITTED if saved.get('is_refitted') else ''}. "
            "`load.py` cuts it out; `paretune export --merged` also writes it as "
            f"a plain transformer where the method changes weights. {WHERE_THE_HEAD_IS}.",
        )
    weights = configuration.peft.method.definition.trains_weights
    if not weights and not (folder / ADAPTER).is_file():
        return _section(
            "Without Paretune",
            f"HF peft has no format for what this trial trained; use `load.py`. {WHERE_THE_HEAD_IS}.",
        )
    family = saved["backbone_shape"]["model_type"]
    repository = hub_repository(configuration.backbone)
    base = repository or configuration.backbone.removeprefix("local:")
    lines = [
        *_imports(
            family,
            *([] if weights else ["from peft import PeftModel"]),
            quantised=configuration.quantisation,
        ),
        f'base = "{base}"' + ("" if repository else "  # the folder that the trial was trained on"),
        "tokenizer = AutoTokenizer.from_pretrained(base)",
        *_model(family, configuration.quantisation),
        *(OWN_WEIGHTS if weights else OF_PEFT),
        'answers = json.loads(Path("configuration.json").read_text())["answers"]',
        *_scores(saved, configuration, head="head."),
    ]
    return _section(
        "Without Paretune",
        f"With `transformers` alone, in this folder. {WHERE_THE_HEAD_IS}, beside the trained weights."
        if weights
        else f"With `peft` and `transformers`, in this folder. {WHERE_THE_HEAD_IS}, not in peft's file.",
        code=lines,
    )


def merged_usage(folder: Path) -> str:
    """Return how the merged transformer of an exported folder is used with transformers alone."""
    saved = _saved(folder)
    if saved is None:
        return ""
    configuration = TrialConfiguration.model_validate(saved["configuration"])
    family, widths = saved["backbone_shape"]["model_type"], _widths(saved)
    several = len(set(widths)) > 1
    imports = _imports(family, quantised=None)
    lines = [
        *(_of_several_widths(imports) if several else imports),
        'tokenizer = AutoTokenizer.from_pretrained(".")',
        'model = load_network(".")'
        if several
        else f'model = {_class(family)}.from_pretrained(".", dtype=torch.float32).eval()',
        'head = load_file("head.safetensors")',
        'answers = json.loads(Path("answers.json").read_text())',
        *_scores(saved, configuration, head=""),
    ]
    return _section(
        "A merged transformer",
        f"{SEVERAL_WIDTHS if several else ALONE} The head is a linear map of the mean of the hidden "
        "states over the text's tokens, in `head.safetensors`. No `...ForSequenceClassification` of this "
        "family reads that mean, so `config.json` has no labels, and `pipeline` for text classification "
        "refuses instead of guessing.",
        code=lines,
    )


def kept_layers(folder: Path) -> list[int] | None:
    """Return the layers of the backbone that an exported trial kept; None if it kept all."""
    saved = _saved(folder)
    found = None if saved is None else saved.get("sub_network")
    return None if found is None else list(found["layers"])


def _widths(saved: dict[str, Any]) -> list[int | None]:
    units = (saved.get("sub_network") or {}).get("ffn_units") or ()
    return [None if of_layer is None else len(of_layer) for of_layer in units]


def _of_several_widths(imports: list[str]) -> list[str]:
    plain = [line for line in imports if line and not line.startswith("from transformers")]
    return [*plain, "from transformers import AutoTokenizer", "", "from paretune import load_network", ""]


def _saved(folder: Path) -> dict[str, Any] | None:
    """Read what was saved; None where it is of another version, which `load.py` will say."""
    try:
        found = json.loads((folder / SAVED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and found.get("format_version") == FORMAT else None


def _section(title: str, text: str, *, code: list[str] | None = None) -> str:
    block = [] if code is None else ["```python", *code, "```", ""]
    return "\n".join([f"## {title}", "", text, "", *block])


def _class(family: str) -> str:
    return FAMILIES[family].model_class if family in FAMILIES else "AutoModel"


def _imports(family: str, *more: str, quantised: Quantisation | None) -> list[str]:
    names = sorted({_class(family), "AutoTokenizer", *(["BitsAndBytesConfig"] if quantised else [])})
    return [
        "import json", "from pathlib import Path", "", "import torch", *more,
        "from safetensors.torch import load_file", f"from transformers import {', '.join(names)}", "",
    ]  # fmt: skip


def _model(family: str, quantised: Quantisation | None) -> list[str]:
    if quantised is None:
        return [f"model = {_class(family)}.from_pretrained(base, dtype=torch.float32)"]
    return [
        f"bits = {QUANTISED[quantised]}",
        f"model = {_class(family)}.from_pretrained(base, dtype=torch.float32, quantization_config=bits)",
    ]


def _scores(saved: dict[str, Any], configuration: TrialConfiguration, *, head: str) -> list[str]:
    texts = '"one text", "another"' if saved["answers"]["takes_pairs"] else '"some text"'
    most = configuration.training.max_length
    return [
        "",
        f'text = tokenizer({texts}, truncation=True, max_length={most}, return_tensors="pt")',
        'ids, mask = text["input_ids"], text["attention_mask"]',
        "with torch.inference_mode():",
        "    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state[:, -ids.shape[1] :]",
        f'    scores = hidden.mean(dim=1) @ head["{head}weight"].T + head["{head}bias"]',
        ANSWERS[TaskKind(saved["answers"]["kind"])],
    ]
