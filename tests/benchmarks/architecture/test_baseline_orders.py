"""Orders that no data went into."""

from benchmarks.architecture.baseline_orders import magnitude_order, random_order
from tests.workers.conftest import unchanged


def test_orders_without_data_name_every_part() -> None:
    """By the size of weights, or drawn by a seed."""
    with unchanged("llama") as llama:
        for order in (magnitude_order(llama), random_order(llama, seed=1)):
            assert sorted(order.layers) == [0, 1, 2]
            assert all(sorted(units) == list(range(32)) for units in order.units)
        assert random_order(llama, seed=1) == random_order(llama, seed=1) != random_order(llama, seed=2)
