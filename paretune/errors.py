"""What can go wrong on the user's side of the wire. Each says what to do next."""

from api_schemas.errors import Problem


class ParetuneError(Exception):
    """Something the user can act on; the command line prints it without a traceback."""


class ServerUnreachable(ParetuneError):
    """No server answers at the address."""


class RequestRefused(ParetuneError):
    """The server refused a request and said why."""

    def __init__(self, problem: Problem) -> None:
        lines = [
            f"{problem.title} {problem.detail}",
            *(f"  {item.pointer}: {item.detail}" for item in problem.errors),
        ]
        super().__init__("\n".join(lines))
        self.problem = problem


class StudyFileError(ParetuneError):
    """The study file cannot be read."""


class UnreadableFile(ParetuneError):
    """The file to upload cannot be read."""
