"""Limits that several methods share: which values of a setting do not fit a backbone."""

from api_schemas.peft.method import Surroundings


def within_both_widths(rank: int, around: Surroundings) -> str | None:
    """Return the first projection of which a width is smaller than the rank."""
    for projection in around.projections:
        smaller = min(projection.inputs, projection.outputs)
        if rank > smaller:
            return f"rank {rank} exceeds the smaller width {smaller} of the {projection.role} projection"
    return None


def divides_the_inputs(block: int, around: Surroundings) -> str | None:
    """Return the first projection whose input width the block does not divide."""
    return _divides(block, [(found.role, found.inputs) for found in around.projections])


def divides_both_widths(block: int, around: Surroundings) -> str | None:
    """Return the first projection of which the block does not divide a width."""
    return _divides(
        block,
        [(found.role, width) for found in around.projections for width in (found.inputs, found.outputs)],
    )


def within_the_positions(tokens: int, around: Surroundings) -> str | None:
    """Return why so many tokens and the text have no place together."""
    needed = tokens + around.max_length
    if needed <= around.shape.max_positions:
        return None
    return (
        f"{tokens} virtual tokens and a text of {around.max_length} need {needed} positions; "
        f"the backbone has {around.shape.max_positions}"
    )


def _divides(block: int, widths: list[tuple[str, int]]) -> str | None:
    odd = ((role, width) for role, width in widths if width % block)
    return next(
        (
            f"a block of {block} does not divide the width {width} of the {role} projection"
            for role, width in odd
        ),
        None,
    )
