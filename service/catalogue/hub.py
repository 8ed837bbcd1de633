"""What a refusal of the Hugging Face hub means, in a sentence that says what to do."""

from collections.abc import Callable
from typing import TypeVar

import httpx2
from huggingface_hub.constants import ENDPOINT, HF_HUB_OFFLINE
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from service.errors import ServiceError
from service.runtime.disk_space import refuse_if_full

Downloaded = TypeVar("Downloaded")

ANSWER_SECONDS = 4.0
"""How long the hub may take to say anything at all. Its own client would wait and retry for minutes."""


def from_hub(
    name: str,
    download: Callable[[bool], Downloaded],
    *,
    refusal: Callable[[str], ServiceError],
    instead: str,
    missing: str,
) -> Downloaded:
    """Return what `download` returns; explain in `refusal` why it did not.

    The argument of `download` is whether only the local cache is left, as the hub does not answer. `instead`
    says what can be done without the hub, `missing` what it means that the repository lacks a file.
    """
    try:
        return download(not _answers())
    except GatedRepoError as error:
        raise refusal(
            f"'{name}' is gated: accept its licence on the hub, then set HF_TOKEN on the server."
        ) from error
    except RepositoryNotFoundError as error:
        raise refusal(
            f"The hub has no repository '{name}', or it is private: check the name, or set HF_TOKEN."
        ) from error
    except RevisionNotFoundError as error:
        raise refusal(f"'{name}' has no such revision: name a branch, a tag or a commit.") from error
    except LocalEntryNotFoundError as error:
        raise refusal(
            f"'{name}' is not in the local cache and the hub cannot be reached. "
            f"Check the network, or {instead}."
        ) from error
    except EntryNotFoundError as error:
        raise refusal(f"'{name}' {missing}.") from error
    except (HfHubHTTPError, httpx2.HTTPError, OSError) as error:
        if isinstance(error, OSError):
            refuse_if_full(error)
        raise refusal(
            f"The hub did not give '{name}' ({type(error).__name__}). Try again, or {instead}."
        ) from error


def _answers() -> bool:
    if HF_HUB_OFFLINE:
        return False
    try:
        httpx2.head(ENDPOINT, timeout=ANSWER_SECONDS)
    except httpx2.HTTPError:
        return False
    return True
