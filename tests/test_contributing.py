"""The walk-through of CONTRIBUTING.md: a method is added by two files and their rows, and trained."""

import importlib
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from tests.test_documentation import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
OURS = ("api_schemas", "service", "workers")
BLOCKS = re.findall(r"^`([\w/]+\.py)`[^\n]*:\n\n```(python|diff)\n(.*?)```$", TEXT, re.MULTILINE | re.DOTALL)
PEFT = {"active_layers": [True, False], "linear_adapter": {"rank": 3}}


def with_rows(text: str, rows: str) -> str:
    """Insert each line that begins with a plus behind the line before it."""
    lines, before = text.splitlines(), ""
    for row in rows.splitlines():
        if row.startswith("+"):
            lines.insert(lines.index(before) + 1, row[1:])
        before = row[1:]
    return "\n".join(lines) + "\n"


@pytest.fixture
def extended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the packages with the method in it, imported instead of the real ones."""
    for package in ("api_schemas", "workers"):
        shutil.copytree(ROOT / package, tmp_path / package)
    for path, language, code in BLOCKS:
        file = tmp_path / path
        file.write_text(code if language == "python" else with_rows(file.read_text(encoding="utf-8"), code))
    own = {name: module for name, module in sys.modules.items() if name.split(".")[0] in OURS}
    for name in own:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.split(".")[0] in OURS]:
        del sys.modules[name]
    sys.modules.update(own)


def test_a_method_is_added_by_two_files_and_their_rows(extended: Path) -> None:
    """Its count is that of the tensors, alone and in a column; a step of training lowers the loss."""
    load = importlib.import_module
    counts: Any = load("api_schemas.peft.counts")
    configurations: Any = load("api_schemas.trial_configuration")
    methods: Any = load("workers.peft_methods")
    assert Path(methods.__file__ or "").is_relative_to(extended)
    model = BertModel(
        BertConfig(
            vocab_size=50, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
    )
    backbone = load("workers.backbones.loading").freeze(
        model, SimpleNamespace(pad_token_id=0), name="tiny", device=torch.device("cpu")
    )
    trial = configurations.TrialConfiguration.model_validate(
        {"backbone": "tiny", "task": {"name": "t"}, "peft": PEFT}
    )
    words = load("api_schemas.peft.description").describe_modules(trial)
    assert words == "linear adapter 3 on layer 0"

    modules = methods.TrialModules(trial.peft, backbone=backbone, classes=2, seed=1)
    counted = sum(parameter.numel() for parameter in modules.parameters())
    assert counted == 2 * 16 * 3 + 16 * 2 + 2
    assert counted == counts.trainable_parameters(trial, shape=backbone.shape, classes=2)
    assert counts.adapter_flops(trial, shape=backbone.shape) == 4 * 16 * 3
    ranks = {"linear_adapter.rank": np.array([0, 1, 3])}
    table = counts.Configurations(
        trial.peft, {trial.peft.method: 1}, lambda path: ranks.get(path, counts.value_at(trial.peft, path))
    )
    column = counts.trained_scalars(table, shape=backbone.shape, classes=2)
    assert column.tolist() == [34, 66, 130]

    ids = torch.tensor([[5, 6, 7], [8, 9, 0]])
    batch = load("workers.data.task_data").Batch(ids=ids, mask=(ids != 0).long(), labels=torch.tensor([0, 1]))
    optimiser = torch.optim.AdamW(modules.parameters(), lr=1e-2)
    losses = []
    with methods.attached(modules, backbone=backbone):
        for _ in range(2):
            scores = methods.logits(modules, batch, backbone=backbone)
            loss = torch.nn.functional.cross_entropy(scores, batch.labels)
            losses.append(loss.item())
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    assert losses[1] < losses[0]
    assert modules.state_dict()["layers.0.linear_adapter.B"].any()


@pytest.mark.parametrize(("path", "language", "code"), BLOCKS, ids=[path for path, _, _ in BLOCKS])
def test_the_code_of_the_walk_through_is_that_of_the_repository(path: str, language: str, code: str) -> None:
    """What exists is quoted as it is; what is added names lines that exist once."""
    file = ROOT / path
    if language == "diff":
        lines = file.read_text(encoding="utf-8").splitlines()
        assert all(lines.count(row[1:]) == 1 for row in code.splitlines() if row.startswith(" "))
    elif file.exists():
        assert code == file.read_text(encoding="utf-8")
