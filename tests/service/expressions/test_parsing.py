"""Expressions are read into trees or refused, with the place of what is wrong."""

import pytest

from service.expressions.parsing import DEEPEST, ExpressionError, parse, parse_several
from service.expressions.tree import Call, Read


@pytest.mark.parametrize(
    ("text", "at", "said"),
    [
        ("", 1, "value is expected before the end"),
        ("1 +", 4, "value is expected before the end"),
        ("2 width", 3, "operator or the end is expected before 'width'"),
        ("1 = 2", 3, "'=' is no part"),
        ("__import__('os')", 1, "'_' is no part"),
        ("(1).real", 4, "'.' is no part"),
        ("eval(1)", 1, "no function 'eval'"),
        ("lambda: 1", 7, "operator or the end is expected before ':'"),
        ("1 if x else 2", 3, "operator or the end is expected before 'if'"),
        ("min(1)", 1, "'min' takes 2 arguments or more, not 1"),
        ("log(1, 2)", 1, "'log' takes one argument, not 2"),
        ("active(1)", 8, "name of a parameter is expected before '1'"),
        ('{"a": 1}', 9, "'[' is expected before the end"),
        ("1 < 2 < 3", 7, "operator or the end is expected before '<'"),
        ("1e999", 1, "larger than any number"),
        ('"open', 1, "is no part"),
    ],
)
def test_what_is_no_expression_is_refused_at_its_place(text: str, at: int, said: str) -> None:
    """Python that is no arithmetic included."""
    with pytest.raises(ExpressionError) as refused:
        parse(text)
    assert refused.value.at == at
    assert said in refused.value.sentence


@pytest.mark.parametrize("text", ["(" * 60 + "1" + ")" * 60, "-" * 60 + "1", "**".join(["2"] * 60)])
def test_a_deep_expression_is_refused(text: str) -> None:
    """Brackets, signs and powers alike."""
    with pytest.raises(ExpressionError, match=f"more than {DEEPEST} levels deep"):
        parse(text)


def test_as_many_levels_as_are_allowed_are_read() -> None:
    """The expression itself is the first."""
    inner = DEEPEST - 1
    assert parse("(" * inner + "x" + ")" * inner) == Read("x", DEEPEST)


def test_a_long_sum_is_not_deep() -> None:
    """Its terms stand side by side."""
    parse(" + ".join(["a * b"] * 1000))


def test_a_name_of_any_characters_stands_in_backquotes() -> None:
    """So does a word of the grammar; a dotted path needs none."""
    assert parse("`conv-1.0`") == Read("conv-1.0", 1)
    assert parse("`true`") == Read("true", 1)
    assert parse("layers.0.rank") == Read("layers.0.rank", 1)


def test_expressions_stand_between_commas() -> None:
    """Commas of a call belong to the call."""
    first, second = parse_several("min(a, b), max(a, b)")
    assert first == parse("min(a, b)")
    assert isinstance(second, Call)
    assert second.function == "max"
