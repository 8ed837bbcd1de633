"""A short run of the nemesis: everything breaks once or twice, and every history holds."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from tests.chaos.arena import run
from tests.chaos.nemesis import DECK, draw_faults


def test_a_seed_draws_the_same_faults_again() -> None:
    """Another seed draws others."""
    first, again, other = (list(draw_faults(seed, seconds=600, mean_gap_seconds=5)) for seed in (1, 1, 2))
    assert first == again
    assert first != other
    assert 80 < len(first) < 160


def test_a_round_forgets_no_fault() -> None:
    """Whoever draws for long enough gets each of them, and as often as it is in the deck."""
    faults = islice(draw_faults(7, seconds=1e6, mean_gap_seconds=5), 2 * len(DECK))
    drawn = Counter((fault.kind, fault.target) for fault in faults)
    assert drawn == Counter({card: 2 * count for card, count in Counter(DECK).items()})


@pytest.mark.chaos
@pytest.mark.nightly
def test_every_invariant_holds_while_everything_breaks(
    state_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ten faults in twenty seconds, among them a lost broker, a lost database and cuts at COMMIT."""
    report = run(state_root, monkeypatch, seed=90, seconds=20.0, mean_gap_seconds=2.0)
    assert report["violations"] == {}
    assert sum(report["faults"].values()) >= 8
    assert report["studies_checked"] >= 3
