"""Whether the base configuration of a draft fits its backbone and its task."""

from collections.abc import Iterator

from api_schemas.errors import FieldError
from api_schemas.tasks import TaskKind
from service.studies.resampling import folds_problem
from service.studies.study_draft import StudyDraft


def layer_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find lists by layer of the wrong length, and a first active layer that does not exist."""
    peft, layers = draft.configuration.peft, draft.backbone.shape.layers
    lists = {"active_layers": peft.active_layers} | {
        f"{name}/by_layer": module.by_layer for name, module in peft.own_modules().items()
    }
    for path, entries in lists.items():
        if entries is not None and len(entries) != layers:
            yield FieldError(
                pointer=f"/configuration/peft/{path}",
                detail=f"the backbone has {layers} layers, not {len(entries)}; leave it out for all",
            )
    if peft.first_active_layer >= layers:
        yield FieldError(
            pointer="/configuration/peft/first_active_layer",
            detail=f"the backbone has layers 0 to {layers - 1}",
        )


def overridden_size_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find sizes that are searched although a list by layer overrides them."""
    for name, module in draft.configuration.peft.own_modules().items():
        paths = {f"peft.{name}.{field}" for field in (*module.size_fields, "alpha_per_rank")}
        searched = [path for path in draft.search_space.by_name if path in paths]
        if searched and module.by_layer is not None:
            yield FieldError(
                pointer="/search_space",
                detail=f"'{searched[0]}' has no effect: 'peft.{name}.by_layer' gives the sizes",
            )


def quantisation_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find a quantisation of weights that are stored quantised."""
    stored, configuration = draft.backbone.quantised, draft.configuration
    if stored is not None and configuration.quantisation is not None:
        yield FieldError(
            pointer="/configuration/quantisation",
            detail=f"the files of '{configuration.backbone}' are in {stored} already; leave this out",
        )


def distillation_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find a teacher that cannot be trained, for its weights are quantised."""
    configuration = draft.configuration
    if configuration.training.distillation is None:
        return
    if configuration.quantisation is not None or draft.backbone.quantised is not None:
        yield FieldError(
            pointer="/configuration/training/distillation",
            detail="the teacher trains every weight of the backbone, so they cannot be quantised; leave this "
            "out, or take whole weights",
        )


def task_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find splits that want more rows than there are, or too few to train every class, and too long texts."""
    configuration, trained = draft.configuration, draft.configuration.task.train_rows
    for split, rows in zip(("train", "validation", "test"), draft.task.split_rows, strict=True):
        wanted = getattr(configuration.task, f"{split}_rows")
        if wanted is not None and wanted > rows:
            yield FieldError(
                pointer=f"/configuration/task/{split}_rows",
                detail=f"the {split} split of '{draft.task.name}' has {rows} rows; leave this out for all of "
                "them",
            )
    if draft.task.kind is TaskKind.CLASSIFICATION and trained is not None and trained < draft.task.classes:
        yield FieldError(
            pointer="/configuration/task/train_rows",
            detail=f"'{draft.task.name}' has {draft.task.classes} classes, and {trained} rows leave some of "
            "them untrained; take one row of each at least, better several, or leave this out for all rows",
        )
    if configuration.training.max_length > draft.backbone.shape.max_positions:
        yield FieldError(
            pointer="/configuration/training/max_length",
            detail=f"the backbone reads at most {draft.backbone.shape.max_positions} tokens",
        )


def resampling_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find folds that the task's rows cannot be dealt into."""
    folds = draft.configuration.task.folds
    problem = None if folds is None else folds_problem(draft.task, folds=folds)
    if problem is not None:
        yield FieldError(pointer="/configuration/task/resampling", detail=problem)
