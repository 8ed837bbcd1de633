"""What there is to name in a study without a download: installed packages and folders of local models."""

from pathlib import Path

from api_schemas.catalogue import Catalogue, CataloguedTask
from api_schemas.search_space import PresetName
from service.catalogue.backbones.by_name import LOCAL_NAME
from service.catalogue.backbones.files import CONFIGURATION
from service.catalogue.backbones.packaged import PACKAGED_BACKBONES, package_folders
from service.catalogue.tasks.packaged import PACKAGED_TASKS, PackagedTask, package_folder
from service.errors import UnknownBackbone, UnknownTask


def catalogue(*, models_dir: Path | None) -> Catalogue:
    """Return the names. That a local model can be loaded is found out once a study names it."""
    return Catalogue(
        backbones=(*filter(_has_backbone, PACKAGED_BACKBONES), *_local_backbones(models_dir)),
        tasks=tuple(_catalogued(task) for task in PACKAGED_TASKS.values() if _has_task(task)),
        presets=tuple(PresetName),
    )


def _has_backbone(name: str) -> bool:
    try:
        package_folders(name)
    except UnknownBackbone:
        return False
    return True


def _local_backbones(models_dir: Path | None) -> list[str]:
    if models_dir is None or not models_dir.is_dir():
        return []
    named = sorted(f"local:{folder.parent.name}" for folder in models_dir.glob(f"*/{CONFIGURATION}"))
    return [name for name in named if LOCAL_NAME.match(name)]


def _has_task(task: PackagedTask) -> bool:
    try:
        package_folder(task)
    except UnknownTask:
        return False
    return True


def _catalogued(task: PackagedTask) -> CataloguedTask:
    train, validation, test = task.split_rows
    return CataloguedTask(
        name=task.name,
        description=task.description,
        labels=task.labels,
        train_rows=train,
        validation_rows=validation,
        test_rows=test,
    )
