"""What won the ended studies of a tenant, among the first trials of its next one.

The portfolio is from a few public tasks; what did best on the tenant's own says more. Only where the
portfolio is used: a study that names former studies learns from them instead.
"""

from collections.abc import Iterator
from dataclasses import replace

from sqlalchemy.orm import Session

from api_schemas.derived_settings import LEARNING_RATE_FACTOR
from api_schemas.objectives import Direction
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration, canonical, patch
from service.storage import queries, typed_study
from service.storage.models import Study, Trial
from service.studies.portfolio import Member, member_of, scaled
from service.studies.starting_points import recipe_point
from service.studies.validation import ValidStudy
from service.trials.beliefs import belief_of

WINNERS = 2
"""Winners that take the places of as many members of the portfolio."""

LOOKED_THROUGH = 20
"""Ended studies, newest first, whose winners may be taken."""


def with_own_winners(session: Session, valid: ValidStudy, *, tenant_id: str) -> ValidStudy:
    """Return the study with its tenant's newest winners behind the default, in place of the last members."""
    base, shape = valid.configuration, valid.backbone_shape
    if base is None or shape is None or not _starts_with_portfolio(valid):
        return valid
    own = len(valid.request.starting_points)
    posted, defaults = valid.starting_points[:own], valid.starting_points[own:]
    tried = [canonical(patch(base, point), shape=shape) for point in valid.starting_points]
    winners: list[Parameterization] = []
    for member in _winners(session, valid, tenant_id=tenant_id):
        point = recipe_point(member, valid.search_space, base, shape=shape)
        if point is not None and (one := canonical(patch(base, point), shape=shape)) not in tried:
            tried.append(one)
            winners.append(point)
        if len(winners) == WINNERS:
            break
    kept = _without_last(defaults, len(winners), base=base)
    return replace(valid, starting_points=(*posted, *kept[:1], *winners, *kept[1:]))


def _starts_with_portfolio(valid: ValidStudy) -> bool:
    proposals = valid.request.proposals
    searched = LEARNING_RATE_FACTOR in valid.search_space.by_name
    return searched and proposals.default_starting_points and proposals.warm_start is None


def _winners(session: Session, valid: ValidStudy, *, tenant_id: str) -> Iterator[Member]:
    """Yield what won the newest studies that wanted the same, for this study's backbone."""
    wanted, shape = valid.request.objectives[0], valid.backbone_shape
    for study in queries.ended_studies(session, tenant_id=tenant_id, limit=LOOKED_THROUGH):
        first, backbone = typed_study.objectives(study)[0], typed_study.backbone_shape(study)
        if (first.metric, first.direction) != (wanted.metric, wanted.direction) or not backbone or not shape:
            continue
        trial = _winner(session, study)
        trained = None if trial is None else TrialConfiguration.model_validate(trial.configuration)
        # What a part of a backbone wants, the whole one may not.
        if trained is not None and trained.architecture is None:
            member = member_of(canonical(trained))
            yield scaled(member, shape, layers=backbone.layers, hidden_size=backbone.hidden_size)


def _winner(session: Session, study: Study) -> Trial | None:
    """Return the trial that is believed to be the best in the first objective; None without a belief."""
    belief, objective = belief_of(session, study), typed_study.objectives(study)[0]
    if belief is None or objective.metric not in belief.trials.means:
        return None
    means, sign = (
        belief.trials.means[objective.metric],
        1 if objective.direction is Direction.MAXIMIZE else -1,
    )
    best = max(belief.members, key=lambda trial_id: sign * means[belief.trials.rows[trial_id]])
    return session.get(Trial, best)


def _without_last(
    points: tuple[Parameterization, ...], count: int, *, base: TrialConfiguration
) -> tuple[Parameterization, ...]:
    """Leave the last points out, but never the head alone: nothing is cheaper."""
    giving_way = [point for point in points[1:] if not patch(base, point).is_head_only]
    dropped = giving_way[len(giving_way) - count :] if count else []
    return tuple(point for point in points if point not in dropped)
