"""What the API process holds once everything else has been asked of it."""

from collections.abc import Iterator

from benchmarks.service.context import Context
from benchmarks.service.results import Measured

TARGET_MEGABYTES = 200.0


def measure(context: Context) -> Iterator[Measured]:
    """Read it once."""
    yield Measured(
        "the API process after the parts above",
        {"api_megabytes": context.api_megabytes()},
        at_most={"api_megabytes": TARGET_MEGABYTES},
    )
