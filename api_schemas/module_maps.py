"""Which modules trials train in which layer, and how large they are."""

from pydantic import Field

from api_schemas.base import Schema


class ModuleMaps(Schema):
    """A matrix of layers by modules for each trial; layers count from 0 in the network that the trial keeps.

    A size is a rank, a width, a length, or 1 where a module has none; 0 where a layer does not carry it, null
    where the trial's network has no such layer. What knows no layers (prompts) is in none; a custom study has
    nothing of all this.
    """

    study_id: str
    layers: int
    modules: tuple[str, ...] = Field(description="Each module, or each projection that it changes.")
    trial_ids: tuple[str, ...]
    numbers: tuple[int, ...]
    sizes: tuple[tuple[tuple[int | None, ...], ...], ...] = Field(description="By trial, layer and module.")
