"""Proxies of tiny networks against what they are made of."""

from collections.abc import Iterator

import pytest
import torch

from benchmarks.architecture import proxies
from benchmarks.architecture.proxies import PROXIES, zero_cost_proxies
from tests.workers.architecture.test_importance import SPLIT
from tests.workers.conftest import unchanged
from workers.architecture.extraction import extracted
from workers.architecture.sub_network import without


def test_every_proxy_is_a_number_and_the_same_again() -> None:
    """Without layers that are left out; the network stays as it was."""
    with unchanged("bert") as bert:
        whole = zero_cost_proxies(bert, SPLIT, classes=2)
        again = zero_cost_proxies(bert, SPLIT, classes=2)
        smaller = zero_cost_proxies(extracted(bert, without(1, layer_count=3)), SPLIT, classes=2)
    assert tuple(whole) == PROXIES
    assert whole == again
    assert smaller["gradsign"] < whole["gradsign"]


def test_rows_that_agree_count_in_full() -> None:
    """Three rows with one sign give 3 for a weight, two against one give 1."""

    def rows() -> Iterator[list[torch.Tensor]]:
        for second in (1.0, 1.0, -2.0):
            yield [torch.tensor([-0.5, second, 0.0])]

    assert proxies._agreement(rows()) == 4.0


def test_flow_grows_with_the_weights() -> None:
    """The sum of |w| times its gradient, which does not ask for signs."""
    with unchanged("bert") as bert:
        flow = proxies.synflow(bert)
        negative = extracted(bert, without(0, layer_count=3))
        assert flow != pytest.approx(proxies.synflow(negative))
