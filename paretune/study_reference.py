"""Which study a beginning of an id, a name or `latest` means."""

import re

from api_schemas.near_names import meant
from api_schemas.studies import StudyRead
from paretune.client import Client
from paretune.errors import ParetuneError

LATEST = "latest"
WHOLE_ID = re.compile(r"std_[0-9a-f]{32}")
MOST_SHOWN = 5


class NoSuchStudy(ParetuneError):
    """No study, or more than one, is called so."""


def find_study(client: Client, reference: str) -> str:
    """Return the id of a study: named by id, by a unique beginning of it, by display name, or as `latest`.

    A whole id is taken as it is.

    Raises:
        NoSuchStudy: If no study is called so, or several are; the message lists those.
    """
    if WHOLE_ID.fullmatch(reference):
        return reference
    if not reference.strip():
        raise NoSuchStudy("The name of the study is empty. `paretune status` lists the studies.")
    studies = list(client.studies())
    if reference == LATEST:
        if not studies:
            raise NoSuchStudy("There is no study yet. Start one: paretune run STUDY.yaml")
        return studies[0].id
    found = [study for study in studies if reference == study.display_name or _begins(study, reference)]
    if len(found) == 1:
        return found[0].id
    if found:
        raise NoSuchStudy("\n".join([f"'{reference}' may be any of {len(found)} studies:", *_shown(found)]))
    near = meant(reference, (study.display_name for study in studies)) or "."
    raise NoSuchStudy(f"There is no study '{reference}'{near} `paretune status` lists those that there are.")


def _begins(study: StudyRead, reference: str) -> bool:
    return study.id.startswith(reference) or study.id.removeprefix("std_").startswith(reference)


def _shown(studies: list[StudyRead]) -> list[str]:
    lines = [
        f"  {study.id}  {study.created_at:%Y-%m-%d %H:%MZ}  {study.state}  {study.display_name}"
        for study in studies[:MOST_SHOWN]
    ]
    more = len(studies) - MOST_SHOWN
    return [*lines, f"  and {more} more"] if more > 0 else lines
