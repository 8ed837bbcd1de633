"""A few bytes of YAML take no memory, no time and no stack; honest files are read as ever."""

from pathlib import Path

import pytest
import yaml

from api_schemas import yaml_documents
from api_schemas.yaml_documents import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_VALUES,
    YamlBeyondLimits,
    check_yaml,
    load_yaml,
)

EXAMPLES = sorted((Path(__file__).parents[2] / "examples").glob("*.yaml"))
LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 10)
)
MERGES = "a0: &a0 {k0: 1}\n" + "".join(
    f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}], k{n}: 1}}\n" for n in range(1, 10)
)

BOMBS = {
    "aliases of aliases": (LAUGHS, "that aliases stand for"),
    "merges of merges": (MERGES, "that aliases stand for"),
    "a long text many times": (f"a: &a {'x' * 90_000}\nb: [{', '.join(['*a'] * 20)}]", "characters"),
    "an alias in itself": ("a: &a [*a]", "'a' stands within itself"),
    "flow lists": ("[" * 100_000, f"more than {MAX_DEPTH} deep"),
    "flow mappings": ("{a: " * 100_000, f"more than {MAX_DEPTH} deep"),
    "block lists": ("- " * 5_000 + "a", f"more than {MAX_DEPTH} deep"),
    "many values": ("[" + "1," * (MAX_VALUES + 1) + "]", f"more than {MAX_VALUES:,} values"),
    "many texts": ("a" * (MAX_CHARACTERS + 1), "the limit is 1,000,000"),
    "a number": (f"a: {'1' * 5_000}", "more than 100 digits"),
    "a negative number": (f"a: -{'1' * 5_000}", "more than 100 digits"),
    "a sexagesimal number": (f"a: 1{':1' * 100_000}", "more than 100 digits"),
    "a tagged number": (f"a: !!int '{'1' * 5_000}'", "more than 100 digits"),
    "a tagged sexagesimal": (f"a: !!float '1{':1' * 100_000}.0'", "more than 100 digits"),
}


@pytest.fixture(params=["libyaml", "python"])
def _loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With libyaml, and as it is where PyYAML came without it."""
    loaders = {"libyaml": yaml.CSafeLoader, "python": yaml.SafeLoader}
    monkeypatch.setattr(yaml_documents, "_LOADER", yaml_documents.reading_exponents(loaders[request.param]))


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize("kind", BOMBS)
def test_what_stands_for_too_much_is_refused_by_its_limit(kind: str) -> None:
    """Before anything is built, and with the limit's name."""
    text, complaint = BOMBS[kind]
    with pytest.raises(YamlBeyondLimits, match=complaint):
        load_yaml(text)


@pytest.mark.usefixtures("_loader")
@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: *nowhere",
        'a: "\\ud800"',
        "a: \ud800",
        "a: \x00",
        "a: 2026-13-45",
        "a: !!python/object/apply:os.system [ls]",
        "a: !!int x",
        "a: !!float x",
        "a: !!timestamp x",
        "a: !!binary x",
        "a: !!bool x",
        "a: !!int ''",
        "a: !!float ''",
        "a: !!map x",
        "a: !!set [x]",
        "a: !!omap [x]",
        "a: 2026-01-01T00:00:00+99:99",
        "? [a]\n: 1",
        "--- 1\n--- 2",
    ],
)
def test_whatever_is_wrong_is_one_kind_of_error(text: str) -> None:
    """A caller needs to catch `yaml.YAMLError` and no other."""
    with pytest.raises(yaml.YAMLError):
        load_yaml(text)


@pytest.mark.usefixtures("_loader")
def test_aliases_within_the_limits_are_values() -> None:
    """As any YAML has them."""
    assert load_yaml("a: &a [1, 2]\nb: *a\nc: {<<: {d: 1}, e: !!str 2}") == {
        "a": [1, 2],
        "b": [1, 2],
        "c": {"d": 1, "e": "2"},
    }


@pytest.mark.usefixtures("_loader")
def test_depth_counts_what_is_open_and_not_what_was() -> None:
    """Many lists beside one another are as shallow as one."""
    assert load_yaml("[" * MAX_DEPTH + "]" * MAX_DEPTH) is not None
    assert load_yaml("[" + "[[]]," * 1_000 + "]") == [[[]]] * 1_000


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_document_has_no_value(text: str) -> None:
    """As `yaml.safe_load` says."""
    check_yaml(text)
    assert load_yaml(text) is None


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_examples_are_read_as_a_plain_loader_reads_them(path: Path) -> None:
    """The limits change no value."""
    text = path.read_text(encoding="utf-8")
    assert load_yaml(text) == yaml.safe_load(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("1e-5", 1e-5), ("-3E2", -300.0), ("+1.e3", 1000.0), (".5e2", 50.0), ("1.0e+5", 1e5), ("'1e5'", "1e5"),
     ("1e", "1e"), ("1e5x", "1e5x"), ("1e5.5", "1e5.5"), ("0x1e5", 0x1E5), ("e5", "e5")],
)  # fmt: skip
def test_a_number_with_an_exponent_needs_no_point(text: str, value: object) -> None:
    """As in YAML 1.2: a choice of [1e-4, 1e-3] is one of numbers, not of texts."""
    found = load_yaml(text)
    assert (found, type(found)) == (value, type(value))
