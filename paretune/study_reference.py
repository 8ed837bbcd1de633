"""Which study a beginning of an id, a name or `latest` means."""

from api_schemas.trials import TrialRead
from paretune.client import Client
from paretune.errors import ParetuneError
from paretune.id_reference import WHOLE_ID, NoSuchId, find_id

LATEST = "latest"


def find_study(client: Client, reference: str) -> str:
    """Return the id of a study: named by id, by a unique beginning of it, by display name, or as `latest`.

    A whole id is taken as it is.

    Raises:
        NoSuchId: If no study is called so, or several are; the message lists those.
    """
    if WHOLE_ID.fullmatch(reference):
        return reference
    studies = list(client.studies())
    if reference == LATEST:
        if not studies:
            raise NoSuchId("There is no study yet. Start one: paretune run STUDY.yaml")
        return studies[0].id
    return find_id(
        reference,
        {study.id: study.display_name for study in studies},
        kind="study",
        kinds="studies",
        listed_by="paretune status",
        described={
            study.id: f"{study.created_at:%Y-%m-%d %H:%MZ}  {study.state}  {study.display_name}"
            for study in studies
        },
    )


def numbered_trial(client: Client, study_id: str, *, number: int) -> TrialRead:
    """Return the trial of a study that has a number.

    Raises:
        ParetuneError: If it has none.
    """
    count = 0
    for trial in client.trials(study_id):
        if trial.number == number:
            return trial
        count += 1
    raise ParetuneError(f"Study {study_id} has no trial {number}; it has {count}, counted from 0.")
