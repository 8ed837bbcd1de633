"""Whether a super-network can score what a draft searches. What it costs is checked in `one_shot`."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.network_costs import network_problem
from api_schemas.objectives import Direction, Metric
from api_schemas.peft.registry import PeftMethod
from api_schemas.studies import StudyCreate
from api_schemas.trial_configuration import patch
from service.studies.layers import searches_architecture
from service.studies.one_shot import recipe_of
from service.studies.starting_points import starting_points
from service.studies.study_draft import StudyDraft

POINTER = "/proposals/one_shot"

TRAINED = (PeftMethod.FULL, PeftMethod.MODULES, PeftMethod.LORA)
"""Methods that are tested on a super-network."""


def one_shot_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find super-networks with nothing to score, nothing to score it by, or no recipe."""
    if draft.request.proposals.one_shot is None:
        return
    if not searches_architecture(draft.search_space):
        yield _error(
            "nothing that is searched makes the backbone smaller, so there are no sub-networks to score: "
            "search 'architecture.keep_layers', or take a preset such as 'depth_width'"
        )
    wants_score = any(
        one.metric == Metric.SCORE and one.direction is Direction.MAXIMIZE for one in draft.request.objectives
    )
    if not wants_score:
        yield _error("sub-networks are ranked by their 'score', which is no objective to maximize here")
    problem = network_problem(draft.backbone.shape)
    if problem is not None:
        yield _error(f"what a sub-network costs is not known: {problem}")


def custom_one_shot_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find a super-network of networks that only the caller knows."""
    if request.proposals.one_shot is not None:
        yield _error("what the trials of a custom study train is the caller's; leave this out")


def one_shot_recipe_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find super-networks whose recipe trains no layer, or in a way that is not tested on them."""
    if draft.request.proposals.one_shot is None:
        return
    point = recipe_of(draft, starting_points(draft))
    if point is None:
        yield _error(
            "the search space holds no recipe to train a super-network by: give one in starting_points"
        )
        return
    trained = patch(draft.configuration, point)
    if trained.is_head_only:
        yield _error(
            "the head alone would be trained, and a super-network has layers to train: set peft.method to "
            "'full' or 'lora'"
        )
    elif trained.peft.method not in TRAINED:
        yield _error(
            f"'{trained.peft.method}' is not known to work in a super-network: take {', '.join(TRAINED)}"
        )


def _error(detail: str) -> FieldError:
    return FieldError(pointer=POINTER, detail=detail)
