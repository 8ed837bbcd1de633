"""What won a tenant's ended studies is tried early in its next one."""

from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.storage.models import Study, Tenant
from service.studies import steering
from service.studies.creation import create_study
from service.studies.validation import validate_study
from service.trials import beliefs
from service.trials.beliefs import Belief, BelievedTrials
from tests.conftest import make_study_request
from tests.service.trials.test_lifecycle import finish, queue, start, succeeded

WINNER: Parameterization = {
    "peft.method": "dora",
    "peft.library.rank": 4,
    "peft.library.query": True,
    "peft.library.key": True,
    "peft.library.value": False,
    "peft.library.attention_output": False,
    "peft.library.ffn_in": False,
    "peft.library.ffn_out": True,
    "peft.library.alpha_per_rank": 2.0,
    LEARNING_RATE_FACTOR: 2.5,
}


def posted(session: Session, *, owner: str = "default", **changes: Any) -> Study:
    """Return a new study over `auto`."""
    tenant_id = session.scalars(select(Tenant.id).where(Tenant.name == owner)).one()
    request = make_study_request(**{"search_space": {"preset": "auto"}, **changes})
    return create_study(session, validate_study(request, tenant_id=tenant_id), tenant_id=tenant_id)


def ended_with_winner(session: Session, **changes: Any) -> None:
    """Run one trial of a study, believe in it, and end the study."""
    study = posted(session, **changes)
    layers = {f"peft.active_layers.{layer}": layer > 0 for layer in range(study.backbone_shape["layers"])}
    trial = queue(session, study)
    base = TrialConfiguration.model_validate(study.configuration)
    trial.configuration = canonical(patch(base, WINNER | layers)).model_dump(mode="json")
    finish(session, study, start(session, study, trial), succeeded())
    trials = BelievedTrials(
        ids=[trial.id],
        means={"score": [0.9]},
        deviations={"score": [0.01]},
        front_probabilities=[1.0],
        default_trial_id=None,
        lead_deviations=None,
        noise=None,
    )
    beliefs.record_belief(session, study, Belief(study.front_sequence, [trial.id], None, trials))
    steering.cancel(session, study)
    session.flush()


def has_winner(study: Study) -> list[int]:
    """Return the places at which the winner stands among a study's starting points."""
    return [
        place
        for place, point in enumerate(study.starting_points)
        if point.get("peft.method") == "dora" and point[LEARNING_RATE_FACTOR] == 2.5
    ]


def test_a_winner_follows_the_default_and_takes_a_place_of_the_portfolio(session: Session) -> None:
    """As many starting points as before, the head alone still among them."""
    before = len(posted(session).starting_points)
    ended_with_winner(session)
    after = posted(session)
    assert has_winner(after) == [1]
    assert len(after.starting_points) == before


def test_another_tenants_winner_is_not_taken(session: Session) -> None:
    """Nobody learns what another tenant found."""
    ended_with_winner(session, owner="other")
    assert has_winner(posted(session)) == []


def test_a_winner_by_another_metric_is_not_taken(session: Session) -> None:
    """The fastest configuration is no candidate for the best score."""
    fastest = [
        {"metric": "latency_ms", "direction": "minimize"},
        {"metric": "score", "direction": "maximize"},
    ]
    ended_with_winner(session, objectives=fastest)
    assert has_winner(posted(session)) == []


def test_no_default_starting_points_means_no_winners_either(session: Session) -> None:
    """A client that wants none of ours gets none."""
    ended_with_winner(session)
    study = posted(session, proposals={"default_starting_points": False})
    assert study.starting_points == []
