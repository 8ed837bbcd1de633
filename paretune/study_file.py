"""Read a study from a YAML file."""

from pathlib import Path

import yaml
from pydantic import ValidationError

from api_schemas.studies import StudyCreate
from paretune.errors import StudyFileError


def read_study_file(path: Path) -> StudyCreate:
    """Read and check a study.

    Raises:
        StudyFileError: If the file is missing, is not YAML, or does not describe a study.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"Cannot read {path}: {error}.") from error
    except yaml.YAMLError as error:
        raise StudyFileError(f"{path} is not YAML: {error}") from error
    try:
        return StudyCreate.model_validate(content)
    except ValidationError as error:
        lines = [f"  {'.'.join(map(str, item['loc'])) or '(top)'}: {item['msg']}" for item in error.errors()]
        raise StudyFileError("\n".join([f"{path} does not describe a study:", *lines])) from error
