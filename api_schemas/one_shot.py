"""One-shot scores: a super-network is trained once for a study, and scores sub-networks of its search space.

The scores choose starting points and are compared with what trials measure; they are results of nothing.
"""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from api_schemas.architecture import Architecture
from api_schemas.base import Schema
from api_schemas.json_values import NO_BOOL_NOR_TEXT
from api_schemas.search_space import Parameterization
from api_schemas.trial_configuration import TrialConfiguration

LEAST_CORRELATION = 0.5
"""Spearman's rank correlation with trials below which the scores did not help."""

LEAST_COMPARED = 8
"""Sub-networks with a score and a trial from which on the correlation is judged."""


class OneShot(Schema):
    """A super-network for the study, trained before its first trial for so many epochs (null: a trial's)."""

    epochs: Annotated[int, Field(ge=1, le=1000), NO_BOOL_NOR_TEXT] | None = None


class OneShotNetwork(Schema):
    """A sub-network to score (null: the whole one), where a trial of it would lie, and its exact cost."""

    architecture: Architecture | None
    parameters: Parameterization
    cost: float


class SuperNetworkOrder(Schema):
    """What a worker trains before the trial that it claimed: a super-network, which scores the networks.

    The first `smallest` of them cost least; they are trained in every step.
    """

    configuration: TrialConfiguration
    networks: tuple[Architecture | None, ...]
    smallest: int


class Holder(Schema):
    """Which attempt of a trial trains the super-network."""

    trial_id: str
    attempt: int


class OneShotRun(Schema):
    """A study's super-network as the service keeps it. Networks are in the order of their costs.

    `place` is where its starting points go among the study's, `lost` how many workers fell silent over it.
    """

    configuration: TrialConfiguration
    networks: tuple[OneShotNetwork, ...]
    smallest: int
    trainings: int
    place: int = 0
    holder: Holder | None = None
    lost: int = 0
    scores: tuple[float, ...] | None = None
    seconds: float | None = None
    reason: str | None = None
    starting_points: tuple[Parameterization, ...] = ()
    compared: int = 0
    rank_correlation: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether it is still to be trained."""
        return self.scores is None and self.reason is None


class OneShotState(StrEnum):
    """Where a study's super-network stands."""

    PENDING = "PENDING"
    """It waits for a worker, or is being trained."""
    SCORED = "SCORED"
    """It has scored its sub-networks."""
    FAILED = "FAILED"
    """It could not be trained; `detail` says why. The study goes on without."""


class OneShotRead(Schema):
    """A study's super-network as a client sees it.

    `trainings` of the budget paid for it. `rank_correlation` is Spearman's, between the scores of so many
    `compared` sub-networks and the best validation score of trials of each; null while fewer than two
    differ. `helped` is null until 8 are compared, and false where the correlation is below .5. `detail` says
    it in a sentence.
    """

    state: OneShotState
    detail: str
    networks: int
    trainings: int
    seconds: float | None
    starting_points: tuple[Parameterization, ...]
    compared: int
    rank_correlation: float | None
    helped: bool | None


def one_shot_read(run: OneShotRun) -> OneShotRead:
    """Return a super-network as a client sees it."""
    helped = None
    if run.compared >= LEAST_COMPARED and run.rank_correlation is not None:
        helped = run.rank_correlation >= LEAST_CORRELATION
    scored = OneShotState.PENDING if run.scores is None else OneShotState.SCORED
    return OneShotRead(
        state=scored if run.reason is None else OneShotState.FAILED,
        detail=_detail(run, helped=helped),
        networks=len(run.networks),
        trainings=run.trainings,
        seconds=run.seconds,
        starting_points=run.starting_points,
        compared=run.compared,
        rank_correlation=run.rank_correlation,
        helped=helped,
    )


def _detail(run: OneShotRun, *, helped: bool | None) -> str:
    if run.reason is not None:
        return f"One-shot: no sub-network was scored, for {run.reason}"
    count = len(run.networks)
    if run.scores is None:
        return f"One-shot: a super-network is trained first, to score {count} sub-networks."
    chose = f"One-shot: of {count} scored sub-networks {len(run.starting_points)} became starting points"
    if run.rank_correlation is None:
        return f"{chose}; too few were trained alone yet to compare."
    found = f"rank correlation {run.rank_correlation:.2f} with {run.compared} that were trained alone"
    if helped is None:
        return f"{chose}; {found}, too few to judge."
    return f"{chose}; {found}: {'their order agrees' if helped else 'it did not help'}."
