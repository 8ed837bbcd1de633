"""What a study can be made of: backbones, tasks and spaces that have a name here, and the rows of a task."""

from pydantic import Field

from api_schemas.base import Schema
from api_schemas.search_space import PresetName
from api_schemas.tasks import TaskKind


class CataloguedTask(Schema):
    """A task that comes with Paretune."""

    name: str
    description: str
    labels: tuple[str, ...]
    train_rows: int
    validation_rows: int
    test_rows: int


class Catalogue(Schema):
    """What can be named without any other file: packages that are installed, and folders of local models.

    A study may also name `ORGANISATION/NAME` and `hub:ORGANISATION/NAME` of the Hugging Face hub, if the
    server reaches it.
    """

    backbones: tuple[str, ...]
    tasks: tuple[CataloguedTask, ...]
    presets: tuple[PresetName, ...]


class LabelCount(Schema):
    """How many rows have a label."""

    label: str
    rows: int


class TaskPreview(Schema):
    """What training on a task would find.

    `labels` stay empty where a number is predicted; `least` and `largest` are its ends. `dropped` counts the
    rows that are left out, by the reason.
    """

    kind: TaskKind
    labels: tuple[LabelCount, ...] = ()
    least: float | None = None
    largest: float | None = None
    train_rows: int
    validation_rows: int
    test_rows: int
    dropped: dict[str, int] = Field(default_factory=dict)
