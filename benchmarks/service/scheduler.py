"""What the whole server costs between two trials: real short trials, one after another, on one worker."""

import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.overheads import api_megabytes, ended_study, turnarounds
from benchmarks.service.results import Measured
from paretune.local import running_stack

TRIALS = 24
TRIAL_SECONDS = 30.0
TARGET_PERCENT = 2.0


def measure() -> Iterator[Measured]:
    """Run a study; the share is that of the mean, the wait for proposals included."""
    with tempfile.TemporaryDirectory(prefix="paretune-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        with running_stack(Path(folder) / "state", trial_workers=1, say=lambda _: None) as stack:
            study_id, _ = ended_study(stack, TRIALS)
            seconds = [item.seconds for item in turnarounds(stack, study_id)]
            share = 100 * statistics.fmean(seconds) / TRIAL_SECONDS
            yield Measured(
                f"end of a trial to the start of the next, {TRIALS} trials, beside a trial of 30 s",
                {
                    "median_ms": round(1000 * statistics.median(seconds), 1),
                    "max_ms": round(1000 * max(seconds), 1),
                    "percent": round(share, 3),
                    "api_megabytes": round(api_megabytes(stack), 1),
                },
                at_most={"percent": TARGET_PERCENT},
            )
