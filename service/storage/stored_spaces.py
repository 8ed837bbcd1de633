"""The search spaces of stored studies: each is validated once in a process, for it was admitted long ago.

Validating a large one takes longer than the rest of most requests.
"""

from collections import OrderedDict
from threading import Lock
from typing import Any

from api_schemas.search_space import SearchSpace
from service.storage.models import Study

MOST_KEPT = 16
"""Spaces kept at a time: the largest that are admitted take a few megabytes each."""

_kept: OrderedDict[str, tuple[dict[str, Any], SearchSpace]] = OrderedDict()
_lock = Lock()


def search_space_of(study: Study) -> SearchSpace:
    """Return the search space of a study."""
    with _lock:
        stored, space = _kept.get(study.id, (None, None))
    if space is None or stored != study.search_space:
        space = SearchSpace.model_validate(study.search_space)
    with _lock:
        _kept[study.id] = (study.search_space, space)
        _kept.move_to_end(study.id)
        while len(_kept) > MOST_KEPT:
            _kept.popitem(last=False)
    return space
