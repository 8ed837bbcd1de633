"""Layers by modules of trials: of one, or of the members of the front. Reads; changes nothing."""

from collections.abc import Mapping, Sequence

from sqlalchemy.orm import Session

from api_schemas.backbones import ROLES
from api_schemas.module_maps import ModuleMaps
from api_schemas.peft.canonical import on_first_layers
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.trial_configuration import TrialConfiguration
from service.api.read_models.trials import trial_configuration
from service.storage import queries, typed_study
from service.storage.models import Study, Trial

Sizes = Mapping[str, int]
SIZES = ("rank", "block_size", "frequencies")
"""The settings of a library's method that say how large it is."""


def module_maps(session: Session, study: Study, *, trial_id: str | None) -> ModuleMaps:
    """Return the maps of the observed front's members by number, or that of one trial.

    Raises:
        NotFound: If the study has no such trial.
    """
    if trial_id is None:
        front = queries.latest_front(session, study)
        trials = queries.trials_by_id(session, front.member_trial_ids if front else [])
    else:
        trials = [queries.get_trial(session, study.id, trial_id)]
    return _maps(study, trials)


def _maps(study: Study, trials: Sequence[Trial]) -> ModuleMaps:
    shape = typed_study.backbone_shape(study)
    layers = 0 if shape is None else shape.layers
    found = [(trial, trial_configuration(trial)) for trial in trials]
    rows = {trial.id: _by_layer(configuration, layers) for trial, configuration in found if configuration}
    # In the order in which they first occur, which is that of the contract.
    modules = tuple(dict.fromkeys(name for row in rows.values() for sizes in row for name in sizes))
    shown = [trial for trial in trials if trial.id in rows]
    return ModuleMaps(
        study_id=study.id,
        layers=layers,
        modules=modules,
        trial_ids=tuple(trial.id for trial in shown),
        numbers=tuple(trial.number for trial in shown),
        sizes=tuple(_matrix(rows[trial.id], modules, layers=layers) for trial in shown),
    )


def _matrix(
    row: Sequence[Sizes], modules: Sequence[str], *, layers: int
) -> tuple[tuple[int | None, ...], ...]:
    kept = [tuple(sizes.get(name, 0) for name in modules) for sizes in row]
    return (*kept, *[tuple(None for _ in modules)] * (layers - len(row)))


def _by_layer(configuration: TrialConfiguration, layers: int) -> list[Sizes]:
    kept = configuration.architecture
    count = layers if kept is None else min(layers, kept.keep_layers)
    peft = on_first_layers(configuration.peft, count)
    return [_sizes(peft, layer) if peft.is_active(layer) else {} for layer in range(count)]


def _sizes(peft: Peft, layer: int) -> Sizes:
    if peft.method is PeftMethod.MODULES:
        return {
            f"{module.label} {_words(part)}".strip(): size
            for module in peft.own_modules().values()
            for part, size in module.sizes_at(layer).items()
        }
    method = peft.method.definition
    if method.is_prompt or peft.method is PeftMethod.HEAD_ONLY:
        return {}
    size = next((int(getattr(peft.library, name)) for name in SIZES if name in method.reads), 1)
    parts = [role for role in ROLES if role in peft.library.targets] if method.is_targeted else [""]
    return {f"{method.label} {_words(part)}".strip(): size for part in parts}


def _words(part: str) -> str:
    return part.replace("_", " ")
