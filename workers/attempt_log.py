"""What is said while the trials of a pack run: the last lines of each attempt, gathered in this process.

Three sources: the lines of our own loggers, those of the libraries, and warnings of Python. What is printed
past them is not heard. What concerns one trial goes to its log alone; everything else stands in the log of
each trial of the pack that has not ended. Sends nothing.
"""

import logging
import os
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

from pydantic import SecretStr

from api_schemas.log_tail import LogTail
from api_schemas.redaction import secrets_of
from api_schemas.trials import ClaimedTrial, TrialReport
from service.runtime.logs import listening
from service.settings import settings

WITH_OWN_HANDLER = "transformers"
"""It hands its lines to no other logger."""

CAPTURED_WARNINGS = "py.warnings"
"""Where `logging.captureWarnings`, which Celery calls, sends warnings that were heard already."""

NOT_SHOWN = frozenset(
    {"event", "level", "timestamp", "exception", "study_id", "trial_id", "attempt", "trace_id", "span_id"}
)
"""What every line has, or stands elsewhere."""


class PackLog:
    """The logs of trials claimed together, by attempt."""

    def __init__(
        self, claimed: Sequence[ClaimedTrial], *, running: Callable[[], Sequence[ClaimedTrial]]
    ) -> None:
        # Those that were read from files are not in the environment.
        given = {name: value.get_secret_value() for name, value in settings() if isinstance(value, SecretStr)}
        secrets = secrets_of({**os.environ, **given})
        self._tails = {_key(one): LogTail(secrets=secrets) for one in claimed}
        self._running = running
        self._subject: ClaimedTrial | None = None
        self.sending = threading.Lock()
        """Is held by whoever sends one of them."""

    def tail(self, claimed: ClaimedTrial) -> LogTail:
        """Return the log of one trial's attempt."""
        return self._tails[_key(claimed)]

    def end(self, claimed: ClaimedTrial, report: TrialReport) -> None:
        """Add how an attempt ends."""
        reason = f": {report.reason}" if report.reason else ""
        self.tail(claimed).add(log_line("info", f"ends {report.state}{reason}"))

    @contextmanager
    def about(self, claimed: ClaimedTrial) -> Iterator[None]:
        """Take what is said in this block as said of one trial."""
        before, self._subject = self._subject, claimed
        try:
            yield
        finally:
            self._subject = before

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Hear what is said in this block, from wherever."""
        handler = _Handler(self._say)
        own = logging.getLogger(WITH_OWN_HANDLER)
        apart = _Handler(self._say)
        apart.addFilter(lambda _: not own.propagate)
        with ExitStack() as leaving:
            leaving.enter_context(listening(self._say_event))
            # Python shows a warning once for each place in the code; a changed filter makes it forget which.
            warnings.simplefilter("default", append=True)
            leaving.callback(setattr, warnings, "showwarning", warnings.showwarning)
            warnings.showwarning = self._then(warnings.showwarning)
            for logger, to in ((logging.getLogger(), handler), (own, apart)):
                logger.addHandler(to)
                leaving.callback(logger.removeHandler, to)
            yield

    def _then(self, shown: Callable[..., None]) -> Callable[..., None]:
        def showwarning(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            self._say(log_line("warning", f"{category.__name__}: {message} ({filename}:{lineno})"))
            shown(message, category, filename, lineno, file, line)

        return showwarning

    def _say_event(self, event: Mapping[str, Any]) -> None:
        fields = (f"{name}={_short(value)}" for name, value in event.items() if name not in NOT_SHOWN)
        self._say(log_line(str(event.get("level", "info")), " ".join([str(event["event"]), *fields])))
        if "exception" in event:
            self._say(str(event["exception"]))

    def _say(self, text: str) -> None:
        for one in [self._subject] if self._subject is not None else self._running():
            self.tail(one).add(text)


class _Handler(logging.Handler):
    """Hands on the records of the standard library's loggers."""

    def __init__(self, say: Callable[[str], None]) -> None:
        super().__init__()
        self._hand_on = say
        self.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        self.addFilter(lambda record: record.name != CAPTURED_WARNINGS)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on a record, with its traceback if it has one."""
        try:
            self._hand_on(log_line(record.levelname.lower(), self.format(record)))
        except (TypeError, ValueError):
            self.handleError(record)  # its arguments do not fit its message


def log_line(level: str, text: str) -> str:
    """Return a line as it stands in a log, beginning with the time."""
    mark = "" if level == "info" else f"{level}: "
    return f"{datetime.now(UTC):%m-%d %H:%M:%SZ} {mark}{text}"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _key(claimed: ClaimedTrial) -> tuple[str, int]:
    return claimed.trial_id, claimed.attempt
