"""Decide whether a posted study can work, before anything is stored or any GPU is touched.

The checks are listed here and written in the modules that end in `_checks`. Everything wrong is reported
at once, each with a JSON pointer.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from api_schemas.backbones import BackboneShape
from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.one_shot import OneShotRun
from api_schemas.search_space import Parameterization, SearchSpace
from api_schemas.studies import EarlyStopping, StudyCreate
from api_schemas.trial_configuration import TrialConfiguration
from service.errors import InvalidStudy
from service.studies.architecture_checks import architecture_errors
from service.studies.base_checks import (
    distillation_errors,
    layer_errors,
    overridden_size_errors,
    quantisation_errors,
    resampling_errors,
    task_errors,
)
from service.studies.expression_checks import (
    expression_errors,
    foreign_expression_errors,
    undefined_starting_point_errors,
)
from service.studies.method_checks import (
    compacter_errors,
    frozen_weight_errors,
    projection_errors,
    setting_errors,
    unfit_method_errors,
    unread_errors,
)
from service.studies.metric_checks import (
    flops_errors,
    log_bound_errors,
    log_errors,
    network_metric_errors,
    reserved_metric_errors,
    unknown_metric_errors,
)
from service.studies.one_shot import one_shot_budget_errors, one_shot_run
from service.studies.one_shot_checks import (
    custom_one_shot_errors,
    one_shot_errors,
    one_shot_recipe_errors,
)
from service.studies.parameter_checks import parameter_errors
from service.studies.race_checks import race_errors
from service.studies.reference_defaults import custom_reference_defaults, reference_defaults
from service.studies.starting_point_checks import custom_starting_point_errors, starting_point_errors
from service.studies.starting_points import starting_points
from service.studies.study_draft import StudyDraft, draft_study

CHECKS: tuple[Callable[[StudyDraft], Iterable[FieldError]], ...] = (
    unknown_metric_errors,
    flops_errors,
    network_metric_errors,
    log_errors,
    foreign_expression_errors,
    layer_errors,
    overridden_size_errors,
    quantisation_errors,
    distillation_errors,
    task_errors,
    resampling_errors,
    architecture_errors,
    one_shot_errors,
    parameter_errors,
)
"""What a PEFT study is checked for."""

CHECKS_OF_LEGAL_VALUES: tuple[Callable[[StudyDraft], Iterable[FieldError]], ...] = (
    starting_point_errors,
    compacter_errors,
    unread_errors,
    unfit_method_errors,
    frozen_weight_errors,
    projection_errors,
    setting_errors,
    one_shot_recipe_errors,
)
"""What it is checked for once `CHECKS` have found nothing: these rely on every value being legal."""

CUSTOM_CHECKS: tuple[Callable[[StudyCreate], Iterable[FieldError]], ...] = (
    reserved_metric_errors,
    log_bound_errors,
    custom_starting_point_errors,
    expression_errors,
    race_errors,
    custom_one_shot_errors,
)
"""What a study is checked for whose trials its owner runs: nothing but the request is known of it."""


@dataclass(frozen=True)
class ValidStudy:
    """A study that can work, with everything resolved that a proposer or a worker needs."""

    request: StudyCreate
    configuration: TrialConfiguration | None
    search_space: SearchSpace
    backbone_shape: BackboneShape | None
    classes: int | None
    starting_points: tuple[Parameterization, ...]
    reference_defaults: tuple[float | None, ...]
    one_shot: OneShotRun | None = None
    dropped: Mapping[str, int] = field(default_factory=dict)


def validate_study(request: StudyCreate, *, tenant_id: str) -> ValidStudy:
    """Check a tenant's study against its backbone, its task and the configuration type.

    Raises:
        InvalidStudy: If it cannot work; `errors` names every guilty field. So do UnknownBackbone, UnknownTask
            and InvalidTask.
    """
    if request.configuration is None:
        return _validate_custom_study(request)
    draft = draft_study(request, request.configuration, tenant_id=tenant_id)
    _refuse_if_any([*(check(draft) for check in CHECKS), race_errors(request)])
    _refuse_if_any(check(draft) for check in CHECKS_OF_LEGAL_VALUES)
    points = starting_points(draft)
    run = one_shot_run(draft, points)
    _refuse_if_any([one_shot_budget_errors(draft, run)])
    return ValidStudy(
        request=request,
        configuration=draft.configuration,
        search_space=draft.search_space,
        backbone_shape=draft.backbone.shape,
        classes=draft.task.classes,
        starting_points=points,
        reference_defaults=reference_defaults(draft),
        one_shot=run,
        dropped=draft.task.dropped,
    )


def _validate_custom_study(request: StudyCreate) -> ValidStudy:
    _refuse_if_any(check(request) for check in CUSTOM_CHECKS)
    _refuse_if_any([undefined_starting_point_errors(request)])
    return ValidStudy(
        request=request.model_copy(update={"early_stopping": EarlyStopping.NEVER}),
        configuration=None,
        search_space=SearchSpace(
            parameters=request.search_space.parameters, identity=request.search_space.identity
        ),
        backbone_shape=None,
        classes=None,
        starting_points=request.starting_points,
        reference_defaults=custom_reference_defaults(request),
    )


def _refuse_if_any(errors_by_check: Iterable[Iterable[FieldError]]) -> None:
    # What an answer does not hold is not looked for.
    errors = list(islice(chain.from_iterable(errors_by_check), MOST_ERRORS))
    if errors:
        raise InvalidStudy("The study cannot work as posted; `errors` says where and why.", errors=errors)
