"""What goes from validation to test."""

import pytest

from benchmarks.autopeft.choosing import averaged, front, knee, spread, tuned
from tests.benchmarks.autopeft.recorded import trial


def test_a_method_keeps_its_best_rate_and_of_equal_ones_the_lowest() -> None:
    """A rate at which it diverged is the worst."""
    trials = [
        trial("manual tuning", "b", 0.8, origin="BitFit", training__learning_rate=1e-2),
        trial("manual tuning", "a", 0.8, origin="BitFit", training__learning_rate=1e-3),
        trial("manual tuning", "c", None, origin="BitFit", training__learning_rate=3e-4),
        trial("manual", "BitFit", 0.9, origin="b", seed=1),
    ]
    assert {name: chosen.name for name, chosen in tuned(trials).items()} == {"BitFit": "a"}


def test_the_front_is_of_the_search_alone_and_sorted() -> None:
    """Dominated and diverged trials are left out; of equal ones the first stays."""
    trials = [
        trial("search", "large", 0.8, parameters=900),
        trial("search", "again", 0.8, parameters=900),
        trial("search", "dominated", 0.7, parameters=950),
        trial("search", "diverged", None, parameters=10),
        trial("search", "small", 0.6, parameters=100),
        trial("manual tuning", "by hand", 0.99, parameters=50),
    ]
    assert [one.name for one in front(trials)] == ["small", "large"]


def test_with_final_seeds_a_lucky_member_falls_and_what_it_hid_comes_up() -> None:
    """Means over the seeds make the front; one that diverged with any of them is no member."""
    trials = [
        trial("search", "lucky", 0.9, parameters=100),
        trial("search", "hidden", 0.8, parameters=200),
        trial("search", "broken", 0.95, parameters=300),
        trial("final", "lucky", 0.5, parameters=100, seed=6),
        trial("final", "lucky", 0.4, parameters=100, seed=7),
        trial("final", "broken", None, parameters=300, seed=6),
    ]
    found = front(averaged(trials))
    assert [one.name for one in found] == ["lucky", "hidden"]
    assert [one.validation_score for one in found] == pytest.approx([0.6, 0.8])


def test_five_members_are_taken_with_both_ends() -> None:
    """Of nine every second; of two both."""
    members = [trial("search", str(number), 0.5 + number / 100) for number in range(9)]
    assert [one.name for one in spread(members)] == ["0", "2", "4", "6", "8"]
    assert spread(members[:2]) == members[:2]


def test_the_knee_bulges_most() -> None:
    """Nearly the best score for nearly the fewest parameters."""
    members = [
        trial("search", "cheap", 0.5, parameters=100),
        trial("search", "knee", 0.79, parameters=200),
        trial("search", "best", 0.8, parameters=100_000),
    ]
    assert knee(members).name == "knee"
