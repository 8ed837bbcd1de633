"""Folders of checkpoints, and what the door says of them."""

import shutil
from pathlib import Path

import pytest

from service.catalogue.backbones import by_name
from service.errors import UnknownBackbone
from tests.checkpoints import save_checkpoint
from tests.workers.conftest import KINDS


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("kinds")
    return {kind: save_checkpoint(kind, root / str(number)) for number, kind in enumerate(KINDS)}


@pytest.fixture
def bert(all_kinds: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(all_kinds["bert"], tmp_path / "mine"))


def read(folder: Path) -> by_name.Checkpoint:
    return by_name.checkpoint(f"local:{folder.name}", models_dir=folder.parent)


def refused(folder: Path, complaint: str) -> None:
    with pytest.raises(UnknownBackbone, match=complaint):
        read(folder)
    with pytest.raises(UnknownBackbone, match=complaint):
        by_name.backbone_directory(f"local:{folder.name}", models_dir=folder.parent)
