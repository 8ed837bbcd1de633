"""Which trials the others are compared with: the head alone, and LoRA of rank 8 in every layer."""

import pytest
from sqlalchemy.orm import Session

from api_schemas.peft.lora import Lora, LoraRanks
from api_schemas.peft.method import LibrarySettings
from api_schemas.peft.registry import Peft, PeftMethod
from api_schemas.peft.serial_adapter import SerialAdapter
from api_schemas.trial_configuration import TrialConfiguration
from service.studies.reference_trials import ReferenceTrials, is_default, reference_trials
from tests.conftest import make_study_request
from tests.service.api.read_models.test_recommendations import HEAD_ONLY, LORA_8, add, study_of

LAYERS = (True,) * 2
DEFAULTS = {
    "ours": Peft(active_layers=LAYERS, lora=Lora(rank=8)),
    "another alpha": Peft(active_layers=LAYERS, lora=Lora(rank=8, alpha=8.0)),
    "by layer": Peft(active_layers=LAYERS, lora=Lora(by_layer=(LoraRanks(query=8, value=8),) * 2)),
    "of the library": Peft(method=PeftMethod.LORA, active_layers=LAYERS, library=LibrarySettings(rank=8)),
}
OTHERS = {
    "another rank": Peft(active_layers=LAYERS, lora=Lora(rank=4)),
    "another projection": Peft(active_layers=LAYERS, lora=Lora(rank=8, key=True)),
    "not everywhere": Peft(active_layers=(True, False), lora=Lora(rank=8)),
    "with an adapter": Peft(
        active_layers=LAYERS, lora=Lora(rank=8), serial_adapter=SerialAdapter(bottleneck_size=4)
    ),
    "another method": Peft(method=PeftMethod.DORA, active_layers=LAYERS, library=LibrarySettings(rank=8)),
    "the head alone": Peft(active_layers=LAYERS),
}


@pytest.mark.parametrize("name", [*DEFAULTS, *OTHERS])
def test_lora_of_rank_8_on_queries_and_values_everywhere_is_the_default(name: str) -> None:
    """In each of its spellings, whatever it is scaled by; and nothing else."""
    peft = {**DEFAULTS, **OTHERS}[name]
    base = TrialConfiguration.model_validate(make_study_request().configuration)
    assert is_default(base.model_copy(update={"peft": peft})) is (name in DEFAULTS)


def test_the_first_default_and_every_head_alone_are_found(session: Session) -> None:
    """By number, among those that succeeded."""
    study = study_of(session)
    trials = [add(session, study, [0.7], 770, peft=peft) for peft in (HEAD_ONLY, LORA_8, LORA_8, HEAD_ONLY)]
    add(session, study, [0.7], 770, peft=Peft(active_layers=(True,) * 6, lora=Lora(rank=4)))
    session.flush()
    assert reference_trials(session, study) == ReferenceTrials(
        trials[1].id, frozenset({trials[0].id, trials[3].id})
    )
