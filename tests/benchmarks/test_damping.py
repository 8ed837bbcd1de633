"""The error of a fitted block on tokens that the fit has not seen."""

from benchmarks.damping import held_out_error
from tests.workers.architecture.test_importance import SPLIT
from tests.workers.conftest import unchanged
from workers.architecture.refitting import second_moments
from workers.data.task_data import TokenisedSplit

UNITS = (0, 3, 4, 9, 17, 30)
OTHERS = TokenisedSplit(ids=((3, 8, 2, 9), (7, 5, 5), (1, 2, 4)), labels=(0, 1, 0))


def test_less_damping_is_nearer_on_what_was_seen_and_less_near_on_what_was_not() -> None:
    """Errors are shares of those of the plain cut, which a fit never exceeds on its own rows."""
    with unchanged("bert") as bert:
        seen, held = (second_moments(bert, split, layers=[0])[0] for split in (SPLIT, OTHERS))
        little, much = (held_out_error(bert, 0, UNITS, seen, seen, prior=prior) for prior in (1e-6, 1e6))
        assert little < much <= 1.0
        assert held_out_error(bert, 0, UNITS, seen, held, prior=1e-6) > little
