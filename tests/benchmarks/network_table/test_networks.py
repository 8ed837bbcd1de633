"""The table holds the whole space once, and what people would cut."""

from collections import Counter

from benchmarks.network_table.networks import DROPPED, NARROWED, SEARCHED, WHOLE, networks


def test_every_network_of_the_space_is_there_once() -> None:
    """Of 6 depths two orders for all but the whole, of 7 widths two orders for all but the widest."""
    found = networks("tweets")
    assert len(found) == (2 * 5 + 1) * (2 * 6 + 1)
    assert len({one.configuration.model_dump_json() for one in found}) == len(found)
    assert len({one.name for one in found}) == len(found)


def test_cuts_by_hand_are_one_cut_that_no_data_chose() -> None:
    """The whole, its first layers, its largest units."""
    found = networks("tweets")
    counted = Counter(one.origin for one in found)
    assert counted == {WHOLE: 1, DROPPED: 5, NARROWED: 6, SEARCHED: 131}
    assert found[0].origin == WHOLE
    assert found[0].configuration.architecture is None
