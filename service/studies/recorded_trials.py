"""What recorded trials of public tasks scored, for studies of `auto` that have no former study to learn from.

`recorded_trials.json` names what each trained relative to its backbone, and its mean score on every task;
`python -m benchmarks.portfolio --write` writes it beside the portfolio. Knows no study and no database.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from api_schemas.backbones import BackboneShape
from service.studies.portfolio import Member, scaled

FILE = Path(__file__).with_name("recorded_trials.json")


class RecordedTrial(NamedTuple):
    """What was trained, and its mean validation score by task."""

    member: Member
    scores: Mapping[str, float]


def recorded_trials(shape: BackboneShape) -> Iterator[RecordedTrial]:
    """Yield what was recorded, as a backbone of this shape would train it."""
    recorded = _recorded()
    for trial in recorded["trials"]:
        scores = dict(zip(recorded["provenance"]["tasks"], trial["scores"], strict=True))
        yield RecordedTrial(scaled(trial, shape, **recorded["backbone"]), scores)


@cache
def _recorded() -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
    return found
