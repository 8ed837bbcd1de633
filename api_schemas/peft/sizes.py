"""The sizes that presets offer."""

LORA_RANKS = (1, 2, 4, 8, 16, 32, 64)


def bottleneck_sizes(hidden_size: int) -> tuple[int, ...]:
    """Halve the width down to 1, and 0 for "absent": the paper's eleven sizes at width 768.

    Width / 2^k for k = 0..8, then 1, then 0 (arXiv 2301.12132; the published code maps k = 9 to 1
    and k = 10 to absent). Narrow backbones reach 1 sooner and so have fewer sizes.
    """
    return tuple(sorted({0, 1} | {hidden_size // 2**k for k in range(9)}))
