"""What a refusal of the Hugging Face hub means, in a sentence that says what to do."""

from collections.abc import Callable
from typing import TypeVar

import httpx
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from service.errors import ServiceError

Downloaded = TypeVar("Downloaded")


def from_hub(
    name: str,
    download: Callable[[], Downloaded],
    *,
    refusal: Callable[[str], ServiceError],
    instead: str,
    missing: str,
) -> Downloaded:
    """Give what `download` gives; explain in `refusal` why it did not.

    `instead` says what can be done without the hub, `missing` what it means that the repository lacks
    a file.
    """
    try:
        return download()
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
    except (HfHubHTTPError, httpx.TransportError, OSError) as error:
        raise refusal(
            f"The hub did not give '{name}' ({type(error).__name__}). Try again, or {instead}."
        ) from error
