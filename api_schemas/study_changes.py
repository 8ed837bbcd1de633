"""What a client may change of a study that is there."""

from typing import Annotated

from pydantic import Field, JsonValue

from api_schemas.base import WITHOUT_NUL, Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT, Integer
from api_schemas.studies import MOST_TRIALS, Budget, EarlyStopping, Notes, Tags

MOST_EDITS = 100
FieldName = Annotated[str, Field(max_length=200)]


class ProposalsUpdate(Schema):
    """Which settings of the proposals can change while a study runs."""

    ahead: Integer = Field(ge=0, le=1024)


class StudyUpdate(Schema):
    """New values of a study's settings; what is left out, or null, stays as it is.

    The budget only grows. A study that is cancelled or has failed takes a new name, notes and tags, nothing
    else.
    """

    display_name: str | None = Field(default=None, min_length=1, max_length=200, pattern=WITHOUT_NUL)
    parallelism: Annotated[int, Field(ge=1, le=1024), NO_BOOL_NOR_TEXT] | None = None
    budget: Budget | None = None
    early_stopping: EarlyStopping | None = None
    proposals: ProposalsUpdate | None = None
    notes: Notes | None = None
    tags: Tags | None = None


class StudyExtension(Schema):
    """How many trials to add to a study's budget."""

    trials: Integer = Field(ge=1, le=MOST_TRIALS)


class StudyClone(Schema):
    """How a new study differs from the one that is cloned.

    `edits` is a JSON merge patch (RFC 7396) of what the source asked for, its presets expanded: objects
    merge, null removes, lists are replaced. With `import_trials` the new study starts from the
    source's results, as far as it could have found them itself.
    """

    edits: dict[FieldName, JsonValue] = Field(default_factory=dict, max_length=MOST_EDITS)
    import_trials: bool = False
