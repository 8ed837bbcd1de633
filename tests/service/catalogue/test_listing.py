"""What can be named is what is here."""

from pathlib import Path

import pytest

from api_schemas.search_space import PresetName
from service.catalogue import listing
from service.catalogue.listing import catalogue


def test_what_is_not_installed_is_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that is missing takes its backbone or its task with it."""
    missing = "service.catalogue.backbones.packaged.package_folder"
    monkeypatch.setattr(missing, lambda package: None)
    task = listing.PACKAGED_TASKS["rotten-tomatoes"]
    absent = {"boolq": task.__class__(**{**vars(task), "package": "no_such_package"})}
    monkeypatch.setattr(listing, "PACKAGED_TASKS", {"rotten-tomatoes": task, **absent})
    found = catalogue(models_dir=None)
    assert found.backbones == ()
    assert [listed.name for listed in found.tasks] == ["rotten-tomatoes"]


def test_local_models_stand_behind_those_of_packages(tmp_path: Path) -> None:
    """A folder counts that has a configuration, by the name that a study gives it."""
    for name in ("mine", "also mine", "empty"):
        (tmp_path / name).mkdir()
    for name in ("mine", "also mine"):
        (tmp_path / name / "config.json").write_text("{}")
    found = catalogue(models_dir=tmp_path)
    assert (found.backbones[0], found.backbones[-1]) == ("all-MiniLM-L6-v2", "local:mine")
    assert found.presets == tuple(PresetName)
