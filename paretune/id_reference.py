"""Which study, key or webhook a beginning of its id, or its name, means. Asks nobody."""

import re
from collections.abc import Mapping

from api_schemas.near_names import meant
from paretune.errors import ParetuneError

WHOLE_ID = re.compile(r"[a-z]{3}_[0-9a-f]{32}")
MOST_SHOWN = 5


class NoSuchId(ParetuneError):
    """Nothing, or more than one of its kind, is called so."""


def find_id(
    reference: str,
    names: Mapping[str, str],
    *,
    kind: str,
    kinds: str,
    listed_by: str,
    described: Mapping[str, str] | None = None,
) -> str:
    """Return the id that a reference means: an id, a unique beginning of one, or a name that only one has.

    A whole id is taken as it is. `names` has the name of each id; `kind` and `kinds` say what they are, and
    `listed_by` is the command that shows them. Where several are meant they are listed as `described`, or
    by name.

    Raises:
        NoSuchId: If nothing is called so, or several are; the message lists those.
    """
    if WHOLE_ID.fullmatch(reference):
        return reference
    found = [
        one for one, name in names.items() if reference and (reference == name or _begins(one, reference))
    ]
    if len(found) == 1:
        return found[0]
    if found:
        shown = [f"  {one}  {(described or names)[one]}" for one in found[:MOST_SHOWN]]
        more = [f"  and {len(found) - MOST_SHOWN} more"] if len(found) > MOST_SHOWN else []
        raise NoSuchId("\n".join([f"'{reference}' may be any of {len(found)} {kinds}:", *shown, *more]))
    near = meant(reference, names.values()) or "."
    raise NoSuchId(f"There is no {kind} '{reference}'{near} `{listed_by}` shows those that there are.")


def _begins(whole: str, reference: str) -> bool:
    return whole.startswith(reference) or whole.partition("_")[2].startswith(reference)
