"""Whether the expressions of a posted study can be computed: those of known metrics, and the identity."""

from collections.abc import Callable, Iterator
from itertools import islice
from typing import NamedTuple

from api_schemas.errors import MOST_ERRORS, FieldError
from api_schemas.json_values import Parameterization, written
from api_schemas.search_space import SearchSpace
from api_schemas.studies import StudyCreate
from service.expressions.checks import Fits, faults, is_logarithmic, is_metric, undefined_at
from service.expressions.evaluation import Rows, evaluate
from service.expressions.parsing import ExpressionError, parse, parse_several
from service.expressions.tree import Node
from service.studies.study_draft import StudyDraft

IDENTITY = "/search_space/identity"


class Known(NamedTuple):
    """An expression of a known metric, where it stands, and which values its metric may have."""

    pointer: str
    metric: str
    text: str
    fits: Fits


def foreign_expression_errors(draft: StudyDraft) -> Iterator[FieldError]:
    """Find expressions in a PEFT study, whose known metrics and equal trials are the service's to tell."""
    pointers = [known.pointer for known in _known(draft.request)]
    if draft.request.search_space.identity is not None:
        pointers.append(IDENTITY)
    for pointer in pointers:
        yield FieldError(pointer=pointer, detail="only a custom study may set this")


def expression_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find expressions of a custom study that cannot be read or have no value somewhere in its space."""
    space = SearchSpace(parameters=request.search_space.parameters)
    by_metric: dict[str, Known] = {}
    for known in _known(request):
        first = by_metric.setdefault(known.metric, known)
        if first.text != known.text:
            detail = f"'{known.metric}' has another expression in {first.pointer}; leave one of the two out"
            yield FieldError(pointer=known.pointer, detail=detail)
        else:
            yield from _errors(known.text, space, parsed=_one, fits=known.fits, pointer=known.pointer)
    if request.search_space.identity is not None:
        yield from _errors(
            request.search_space.identity, space, parsed=parse_several, fits=is_metric, pointer=IDENTITY
        )


def undefined_starting_point_errors(request: StudyCreate) -> Iterator[FieldError]:
    """Find starting points for which a known metric has no value. Relies on readable expressions."""
    space = SearchSpace(parameters=request.search_space.parameters)
    rows = Rows([space.canonical(point) for point in request.starting_points])
    for known in {known.metric: known for known in _known(request)}.values():
        fits = known.fits(evaluate(parse(known.text), rows)).tolist()
        for place in (place for place, fit in enumerate(fits) if not fit):
            detail = f"the expression for '{known.metric}' has no value here that can be used"
            yield FieldError(pointer=f"/starting_points/{place}", detail=detail)


def _known(request: StudyCreate) -> Iterator[Known]:
    logarithmic = {objective.metric for objective in request.objectives if objective.log}
    for place, objective in enumerate(request.objectives):
        if objective.known is not None:
            fits = is_logarithmic if objective.log else is_metric
            yield Known(f"/objectives/{place}/known", objective.metric, objective.known, fits)
    for place, constraint in enumerate(request.constraints):
        if constraint.known is not None:
            fits = is_logarithmic if constraint.metric in logarithmic else is_metric
            yield Known(f"/constraints/{place}/known", constraint.metric, constraint.known, fits)


def _one(text: str) -> tuple[Node, ...]:
    return (parse(text),)


def _errors(
    text: str,
    space: SearchSpace,
    *,
    parsed: Callable[[str], tuple[Node, ...]],
    fits: Fits,
    pointer: str,
) -> Iterator[FieldError]:
    try:
        nodes = parsed(text)
    except ExpressionError as error:
        yield FieldError(pointer=pointer, detail=f"at character {error.at}: {error.sentence}")
        return
    found = sorted(islice((fault for node in nodes for fault in faults(node, space)), MOST_ERRORS))
    for fault in found:
        yield FieldError(pointer=pointer, detail=f"at character {fault.at}: {fault.sentence}")
    if not found:
        yield from _undefined(nodes, space, fits=fits, pointer=pointer)


def _undefined(
    nodes: tuple[Node, ...], space: SearchSpace, *, fits: Fits, pointer: str
) -> Iterator[FieldError]:
    for node in nodes:
        corner = undefined_at(node, space, fits=fits)
        if corner is not None:
            wanted = "greater than 0" if fits is is_logarithmic else "a number of at most 1e50"
            yield FieldError(pointer=pointer, detail=f"it must be {wanted}, but is not at {_shown(corner)}")


def _shown(corner: Parameterization) -> str:
    shown = ", ".join(f"{name} = {written(value)}" for name, value in list(corner.items())[:5])
    return shown + (", ..." if len(corner) > 5 else "")
