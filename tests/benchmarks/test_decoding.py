"""What is timed of smaller decoders, and how their times are written."""

from benchmarks.decoding import SIZES, WHOLE, passes, report, sub_networks
from tests.workers.conftest import tiny
from workers.architecture.extraction import extracted


def test_each_network_is_smaller_than_the_whole() -> None:
    """By the parts that its name says."""
    llama = tiny("llama")
    sizes = {
        name: sum(weight.numel() for weight in extracted(llama, kept).model.parameters())
        for name, kept in sub_networks(llama)
    }
    assert list(sizes) == [WHOLE, *SIZES]
    assert all(size < sizes[WHOLE] for name, size in sizes.items() if name != WHOLE)


def test_a_token_is_decoded_behind_the_same_prompt_each_time() -> None:
    """The cache would grow, and the passes with it."""
    prefill, decode = passes(tiny("llama")).values()
    prefill()
    cache = decode.args[-1]  # type: ignore[attr-defined]  # a partial
    before = cache.get_seq_length()
    decode()
    decode()
    assert cache.get_seq_length() == before


def test_times_are_shares_of_the_whole() -> None:
    """Of the last measurement, with the precision in the head."""
    lines = [
        {"timed": name, "parameters": size, "precision": "float32", "prefill 8x32": time}
        for name, size, time in ((WHOLE, 10**6, 7.0), (WHOLE, 10**6, 10.0), ("half", 500_000, 6.0))
    ]
    header, _, whole, half = report(lines).splitlines()
    assert header == "| kept, one thread, float32 | parameters | prefill 8x32 |"
    assert (whole, half) == ("| whole | 1.0 M | 10.0 ms |", "| half | 0.5 M | 0.60 |")
