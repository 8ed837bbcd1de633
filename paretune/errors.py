"""What can go wrong on the user's side of the wire. Each says what to do next."""

from collections.abc import Mapping

from api_schemas.errors import Problem


class ParetuneError(Exception):
    """Something the user can act on; the command line prints it without a traceback."""


class ServerUnreachable(ParetuneError):
    """No server answers at the address."""


class AnswerTooLate(ServerUnreachable):
    """A server took the request and has not answered in time. It may still be at work on it."""


class AnswerNotUnderstood(ParetuneError):
    """What answers at the address is no Paretune server, or one of a version that this client cannot read."""


class FollowingEnded(ParetuneError):
    """The server of a study that was followed has been away for too long."""


class AddressMalformed(ParetuneError):
    """What was given as the address of a server cannot be one."""


class KeyMalformed(ParetuneError):
    """What was given as an API key cannot be one."""


class CannotBeSent(ParetuneError, ValueError):
    """A request cannot be made of its arguments; nothing was sent."""


class KeyMissing(ParetuneError):
    """There is an address of a server, and no key for it."""


class NoServer(ParetuneError):
    """No server is known, and none can be started."""


class McpMissing(ParetuneError):
    """The MCP server was asked for, and the SDK of the protocol is not installed."""


class RequestRefused(ParetuneError):
    """The server refused a request and said why; `places` say where its pointers lie in a file."""

    def __init__(self, problem: Problem, *, places: Mapping[str, str] | None = None) -> None:
        # What stands beside a pointer need not be said before it, too.
        said = {item.detail.strip(" .") for item in problem.errors}
        detail = "" if problem.detail.strip(" .") in said else problem.detail
        lines = [
            f"{problem.title} {detail}".strip(),
            *(
                f"  {(places or {}).get(item.pointer, '')}{item.pointer}: {item.detail}"
                for item in problem.errors
            ),
        ]
        super().__init__("\n".join(dict.fromkeys(lines)))
        self.problem = problem


class StudyFileError(ParetuneError):
    """The study file cannot be read."""


class FileExists(ParetuneError):
    """A file would be written over another one."""


class NotConfirmed(ParetuneError):
    """What cannot be undone was not confirmed."""


class UnreadableFile(ParetuneError):
    """The file to upload cannot be read."""


class DamagedDownload(ParetuneError):
    """A downloaded file does not have the hash that the server names."""


class StudyEnded(ParetuneError):
    """The study hands out no more trials."""


class NothingReported(ParetuneError):
    """A trial's block ended without a single metric."""


class PandasMissing(ParetuneError):
    """A data frame was asked for, and pandas is not installed."""


class BridgeMissing(ParetuneError):
    """Another tool was to be read or written, and its package is not installed."""


class BridgeError(ParetuneError):
    """What another tool holds cannot be read, or cannot hold what it was given."""


class TrialEnded(ParetuneError):
    """Raised inside a trial's block to leave it; the block itself ends quietly."""


class TrialStopped(TrialEnded):
    """The service wants no more of this trial."""


class TrialLost(TrialEnded):
    """The trial's lease was over, and another runner has it now."""


class TrialInfeasible(TrialEnded):
    """These parameters cannot work. Raise it in a trial's block to say so; the optimiser learns from it."""
