"""What the report says of networks that were cut: pairs by seed, and times in shares."""

from typing import Any

from benchmarks.cuts import CUTS, HALF, SEEDS, WHOLE, Cut, cells, line_of, report


def line(cut: Cut, seed: int, test: float | None) -> dict[str, Any]:
    return {"backbone": "b", "task": "t", "cut": cut.name, "seed": seed, "test": test}


def test_a_cut_is_compared_with_the_whole_by_the_same_seeds() -> None:
    """A seed that the whole network lacks says nothing of what was lost."""
    lines = [line(WHOLE, 1, 0.70), line(WHOLE, 2, 0.80)]
    lines += [line(HALF, 1, 0.69), line(HALF, 2, 0.77), line(HALF, 3, 0.10)]
    header, _, whole, half = report(lines).splitlines()
    assert header == "| backbone | task | kept | seeds | test | less the whole |"
    assert whole == "| b | t | whole | 2 | 75.0 ± 5.0 |  |"
    assert half.endswith("| 3 | 52.0 ± 21.1 | -2.0 ± 1.0 |")


def test_what_fitting_brings_is_a_difference_of_pairs() -> None:
    """Networks that differ in it alone, by the same seed."""
    fitted, plain = (Cut(1.0, units=0.25, is_fitted=is_fitted) for is_fitted in (True, False))
    lines = [line(fitted, 1, 0.70), line(fitted, 2, 0.72), line(fitted, 3, 0.9)]
    lines += [line(plain, 1, 0.69), line(plain, 2, 0.69), line(WHOLE, 1, 0.75)]
    assert "Fitted less not fitted: 2.0 ± 1.0 points, 2 of 2 above 0." in report(lines)


def test_what_diverged_counts_as_nothing_known() -> None:
    """It has no score, and the report says so by the loss."""
    found = line_of((1, "t", "b", HALF), {"validation": None, "test": None, "cpu_seconds": 3.0})
    assert found["test"] is None
    assert "| -70.0 |" in report([line(WHOLE, 1, 0.70), line(HALF, 1, None)])


def test_times_are_shares_of_the_whole_in_the_same_runtime() -> None:
    """Of the last measurement; how far it spread is in the lines alone."""
    timed = [
        {"backbone": "b", "timed": name, "torch 1x32": one, "ONNX 1x32": two, "torch 1x32 spread": 0.1}
        for name, one, two in ((WHOLE.name, 9.0, 9.0), (WHOLE.name, 20.0, 10.0), (HALF.name, 11.0, 5.0))
    ]
    *_, whole, half = report([*timed, line(WHOLE, 1, 0.7)]).splitlines()
    assert whole == "| b | whole | 20.0 ms | 10.0 ms |"
    assert half == "| b | 0.50 of the layers, by importance | 0.55 | 0.50 |"


def test_a_table_cut_short_compares_the_half_with_the_whole() -> None:
    """These two come with every seed before any other cut; no training comes twice."""
    backbone = "all-MiniLM-L6-v2"
    found = list(cells([backbone], ["t"]))
    assert [cut for *_, cut in found[:6]] == [WHOLE, HALF] * len(SEEDS)
    assert len(set(found)) == len(found) == len(SEEDS) * len(CUTS[backbone])
    assert len({cut.name for cut in CUTS[backbone]}) == len(CUTS[backbone])
