"""Whether a PEFT method that is alone in its trial can work on a backbone, with its settings."""

from collections.abc import Iterator

from api_schemas.backbones import BackboneShape, projections
from api_schemas.model_families import FAMILIES
from api_schemas.peft.method import LibrarySettings, Method, Surroundings


def method_problem(method: Method, *, shape: BackboneShape) -> str | None:
    """Return why a method cannot work on a backbone at all, or None if it can."""
    family = FAMILIES.get(shape.model_type)
    if method.is_targeted and family is not None and family.is_conv1d:
        return f"the projections of '{shape.model_type}' are no plain linear layers; use our own modules"
    return method.unfit(shape)


def setting_problem(
    method: Method, setting: str, settings: LibrarySettings, *, shape: BackboneShape, max_length: int
) -> str | None:
    """Return why a method cannot work with its value of one setting, or None if it can."""
    if setting not in method.limits:
        return None
    found = projections(shape)
    around = Surroundings(shape, tuple(found[role] for role in settings.targets), max_length)
    return method.limits[setting](getattr(settings, setting), around)


def problems(
    method: Method, settings: LibrarySettings, *, shape: BackboneShape, max_length: int
) -> Iterator[str]:
    """Yield everything that keeps a method from working."""
    unfit = method_problem(method, shape=shape)
    if unfit is not None:
        yield unfit
    for setting in method.limits:
        problem = setting_problem(method, setting, settings, shape=shape, max_length=max_length)
        if problem is not None:
            yield problem
