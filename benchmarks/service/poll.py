"""Polling a study of 500 trials and its front: with the ETag of the last answer (304), and without."""

from collections.abc import Iterator

from api_schemas.studies import StudyState
from benchmarks.service.context import Context
from benchmarks.service.filling import PEFT_STUDY, add_study
from benchmarks.service.load import CONNECTIONS, wrk
from benchmarks.service.results import Measured

TRIALS = 500
CACHED_PER_SECOND = 1500.0


def measure(context: Context) -> Iterator[Measured]:
    """Load both URLs in both ways."""
    study_id = add_study(PEFT_STUDY, ended=TRIALS, state=StudyState.SUCCEEDED)
    key = {"Authorization": f"Bearer {context.api_key}"}
    for name, path in (
        ("study", f"/v1/studies/{study_id}"),
        ("front", f"/v1/studies/{study_id}/pareto_front"),
    ):
        connection = context.connect()
        tag = connection.send("GET", path).headers["etag"]
        known = {"If-None-Match": tag}
        assert connection.send("GET", path, headers=known).status == 304
        yield Measured(
            f"{name} of {TRIALS} trials, unchanged (304), {CONNECTIONS} connections",
            wrk(context.url + path, key | known, seconds=context.seconds),
            at_least={"per_second": CACHED_PER_SECOND},
        )
        yield Measured(
            f"{name} of {TRIALS} trials, read anew (200), {CONNECTIONS} connections",
            wrk(context.url + path, key, seconds=context.seconds),
        )
