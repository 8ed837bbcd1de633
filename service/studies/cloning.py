"""A new study from an old one: what was posted for the old one, edited. Its results: `inherited_trials`."""

from typing import Any

from pydantic import JsonValue, ValidationError

from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.explanations import causes, explained, place_in, pointer_of
from api_schemas.search_space import Parameterization
from api_schemas.studies import StudyCreate, StudyRead
from service.errors import UNFIT, InvalidRequest, InvalidStudy
from service.studies.race_checks import settled_race
from service.studies.starting_points import default_starting_points
from service.studies.validation import ValidStudy, validate_study


def validate_edited(source: StudyRead, edits: dict[str, JsonValue], *, tenant_id: str) -> ValidStudy:
    """Validate the study that a source becomes under edits; pointers of errors are into the request.

    Raises:
        InvalidStudy: If it cannot work.
        InvalidRequest: If the edited document is no study.
    """
    try:
        return validate_study(edited(source, edits), tenant_id=tenant_id)
    except InvalidStudy as error:
        error.errors = tuple(
            FieldError(pointer=f"/edits{item.pointer}", detail=item.detail) for item in error.errors
        )
        raise


def edited(source: StudyRead, edits: dict[str, JsonValue]) -> StudyCreate:
    """Return the study that would have been posted: the source's fields under a merge patch (RFC 7396).

    Raises:
        InvalidRequest: If the result is no study.
    """
    shown = source.model_dump(mode="json", by_alias=True)
    posted = {name: value for name, value in shown.items() if name in StudyCreate.model_fields}
    if source.configuration is not None:
        posted["configuration"]["task"] = source.configuration.task.as_posted().model_dump(mode="json")
    posted["starting_points"] = _own_starting_points(source)
    # The state of the source is not what its owner posted.
    del posted["state"]
    if source.race == settled_race(StudyCreate.model_validate({**posted, "race": None})):
        # The new study races if its own budget is worth it.
        del posted["race"]
    patched = merge_patch(posted, edits)
    try:
        return StudyCreate.model_validate(patched)
    except ValidationError as error:
        schema = StudyCreate.model_json_schema()
        errors = [
            FieldError(
                pointer=pointer_of(("edits", *place_in(patched, item))), detail=explained(item, schema)
            )
            for item in causes(error.errors(include_url=False)[:MOST_ERRORS])
        ]
        raise InvalidRequest(UNFIT, errors=list(dict.fromkeys(errors))) from error


def _own_starting_points(source: StudyRead) -> list[Parameterization]:
    """Return the starting points that its owner posted: the new study gets those of its own space."""
    configuration, shape = source.configuration, source.backbone_shape
    added = [] if source.one_shot is None else list(source.one_shot.starting_points)
    if configuration is not None and shape is not None and source.proposals.default_starting_points:
        learns = source.proposals.warm_start is not None
        added += default_starting_points(source.search_space, configuration, shape=shape, learns=learns)
    return [point for point in source.starting_points if point not in added]


def merge_patch(target: Any, changes: Any) -> Any:
    """Merge objects field by field, where null removes; anything else replaces (RFC 7396, section 2)."""
    if not isinstance(changes, dict):
        return changes
    merged = dict(target) if isinstance(target, dict) else {}
    for name, value in changes.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge_patch(merged.get(name), value)
    return merged
