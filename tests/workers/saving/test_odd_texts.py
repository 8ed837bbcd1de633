"""What a loaded trial answers to texts of nothing and texts without an end, whatever its tokenizer adds."""

import math
from pathlib import Path

import pytest

from tests.checkpoints import save_checkpoint
from tests.paretune.test_export import exported
from tests.workers.conftest import KINDS
from workers.saving.artifacts import load_classifier
from workers.saving.predictions import Prediction

NOTHING = ["", " ", "\n\t\r", "\u3000", "\u200b", "\x00", "\ud800"]
PEFTS = {
    "lora": {"lora": {"rank": 2}},
    "prefix": {"prefix_tuning": {"length": 2}},
    "prompt": {"method": "prompt_tuning", "library": {"virtual_tokens": 2}},
}


def probabilities(found: list[object]) -> list[float]:
    return [answer.probability for answer in found if isinstance(answer, Prediction)]


@pytest.mark.parametrize("peft", list(PEFTS))
@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama", "t5"])
def test_a_text_of_nothing_has_a_finite_answer(kind: str, peft: str, tmp_path: Path) -> None:
    """Alone and among others, whose answers it does not touch."""
    save_checkpoint(kind, tmp_path / "mine")
    trial = exported(PEFTS[peft], tmp_path / "trial", name="local:mine", models_dir=tmp_path)
    classifier = load_classifier(trial, models_dir=tmp_path)
    text = "a film that is good"
    (alone,) = probabilities(list(classifier.predict([text])))
    for nothing in NOTHING:
        (single,) = probabilities(list(classifier.predict([nothing])))
        first, second = probabilities(list(classifier.predict([nothing, text])))
        assert math.isfinite(single)
        assert first == pytest.approx(single, abs=1e-5)
        assert second == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in ("bert", "gpt2", "llama", "t5")])
def test_every_family_answers_an_empty_text(kind: str, tmp_path: Path) -> None:
    """Its one token is real, also where positions are numbered from behind the padding."""
    save_checkpoint(kind, tmp_path / "mine")
    trial = exported(PEFTS["lora"], tmp_path / "trial", name="local:mine", models_dir=tmp_path)
    found = probabilities(list(load_classifier(trial, models_dir=tmp_path).predict(["", "a film"])))
    assert all(map(math.isfinite, found))
    assert len(found) == 2
