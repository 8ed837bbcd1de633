"""How many files and connections this process may have open; the usual soft limit is far too low."""

import resource

WITHOUT_LIMIT = 65_536


def raise_open_files() -> None:
    """Raise the soft limit to the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    soft = WITHOUT_LIMIT if hard == resource.RLIM_INFINITY else hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def most_open_files() -> int:
    """Return the limit of this moment."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return WITHOUT_LIMIT if soft == resource.RLIM_INFINITY else soft
