"""Placements of one size, and what a relaxed training says of them, on a tiny network."""

from dataclasses import replace

from api_schemas.backbones import ROLES
from api_schemas.trial_configuration import TrialConfiguration
from benchmarks import placement
from benchmarks.architecture.training import trained
from tests.workers.conftest import tiny
from tests.workers.test_distillation import TASK

BASE = TrialConfiguration.model_validate(
    {
        "backbone": "b", "task": {"name": "t"},
        "training": {"epochs": 1, "batch_size": 6, "learning_rate": 1e-2},
    }
)  # fmt: skip


def test_no_placement_trains_more_than_the_one_by_hand() -> None:
    """Whoever chooses; the best for each scalar come first."""
    bert = tiny("bert")
    sizes, budget = placement.scalars(bert), placement.by_hand_scalars(bert)
    worth = {place: float(place == (1, "ffn_in")) for place in sizes}
    chosen = placement.most_of(worth, sizes, budget=budget)
    assert chosen[0] == (1, "ffn_in")
    for places in (chosen, placement.drawn(sizes, budget=budget, seed=0)):
        assert 0 < sum(sizes[place] for place in places) <= budget
        assert len(set(places)) == len(places)


def test_a_relaxed_training_judges_every_place() -> None:
    """And its choice can be trained alone."""
    bert, task = tiny("bert"), replace(TASK, sha256="placement")
    everywhere = list(placement.scalars(bert))
    assert {role for _, role in everywhere} == set(ROLES)
    base = placement.placed(BASE, everywhere, layers=3)
    misses, gates = placement.relaxed(base, backbone=bert, task=task)
    assert list(misses) == list(gates) == everywhere
    assert len(set(misses.values())) > 1
    assert all(0 < gate < 1 for gate in gates.values())
    alone = placement.placed(BASE, [(1, "value")], layers=3)
    assert alone.peft.lora.by_layer is not None
    assert [entry.present() for entry in alone.peft.lora.by_layer] == [{}, {"value": 8}, {}]
    assert 0 <= trained(bert, task, alone, seed=1)["test"] <= 1


def test_random_placements_are_one_row_of_the_report() -> None:
    """Their mean, and the best of them by validation."""
    scores = {"scalars": 10, "test": 0.5, "test_loss": 1.0}
    lines = [
        {"name": name, "seed": 1, "validation": score, **scores}
        for name, score in {"by hand": 0.7, "random 0": 0.4, "random 1": 0.6}.items()
    ]
    found = placement.report(lines).splitlines()
    assert len(found) == 5
    assert "random, mean of 2 | 10 | 0.500" in found[-2]
    assert "random, best of 2 by validation | 10 | 0.600" in found[-1]
