"""Studies as YAML files."""

from pathlib import Path

import yaml
from pydantic import JsonValue, TypeAdapter, ValidationError

from api_schemas.studies import StudyCreate
from paretune.errors import StudyFileError


def read_study_file(path: Path) -> StudyCreate:
    """Read and check a study.

    Raises:
        StudyFileError: If the file is missing, is not YAML, or does not describe a study.
    """
    try:
        return StudyCreate.model_validate(_content(path))
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc'])) or '(top)'}: {item['msg']}" for item in error.errors()]
        raise StudyFileError("\n".join([f"{path} does not describe a study:", *lines])) from error


def read_edits(path: Path) -> dict[str, JsonValue]:
    """Read how a clone differs from its source.

    Raises:
        StudyFileError: If the file is missing, is not YAML, or holds no fields.
    """
    try:
        return TypeAdapter(dict[str, JsonValue]).validate_python(_content(path))
    except ValidationError as error:
        raise StudyFileError(f"{path} must hold fields of a study, such as 'parallelism: 2'.") from error


def _content(path: Path) -> object:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"Cannot read {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise StudyFileError(f"{path} is not YAML: {error}") from error


def write_study_file(study: StudyCreate, path: Path) -> Path:
    """Write a study in full, as `read_study_file` reads it; give the path."""
    content = study.model_dump(mode="json", by_alias=True)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path
