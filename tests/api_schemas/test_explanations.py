"""What is wrong with a study is said in its own words: near keys, examples, and places in the document."""

from typing import Any

import pytest
from pydantic import ValidationError

from api_schemas.explanations import causes, explained, place_in
from api_schemas.recommendation import RecommendationQuery
from api_schemas.studies import StudyCreate
from tests.conftest import study_body


def _told(document: dict[str, Any], model: Any = StudyCreate) -> dict[str, str]:
    with pytest.raises(ValidationError) as refused:
        model.model_validate(document)
    schema = model.model_json_schema(by_alias=True)
    return {
        "/".join(map(str, place_in(document, item))): explained(item, schema)
        for item in causes(refused.value.errors())
    }


@pytest.mark.parametrize(
    ("changes", "place", "near"),
    [
        ({"budgt": {"trials": 3}}, "budgt", "'budget'"),
        ({"objectives": [{"metrc": "score", "direction": "maximize"}]}, "objectives/0/metrc", "'metric'"),
        ({"configuration": {"training": {"lr": 1}}}, "configuration/training/lr", "'learning_rate'"),
        ({"configuration": {"task": {"colum": 1}}}, "configuration/task/colum", "_column'"),
        ({"configuration": {"peft": {"lora": {"rnk": 1}}}}, "configuration/peft/lora/rnk", "'rank'"),
        ({"proposals": {"warm_start": {"studis": "auto"}}}, "proposals/warm_start/studis", "'studies'"),
        (
            {"search_space": {"parameters": [{"type": "float", "name": "a", "lw": 1, "high": 2}]}},
            "search_space/parameters/0/lw",
            "'low'",
        ),
        (
            {"search_space": {"parameters": [{"type": "bool", "name": "a", "when": {"parm": "b"}}]}},
            "search_space/parameters/0/when/parm",
            "'parameter'",
        ),
        ({"constraints": [{"metric": "score", "op": "<=", "limit": 1}]}, "constraints/0/limit", "'bound'"),
        ({"backbone": "b"}, "backbone", "It belongs to 'configuration'"),
        ({"learning_rate": 1}, "learning_rate", "It belongs to 'configuration.training'"),
    ],
)
def test_a_misspelt_key_names_the_nearest_at_every_depth(
    changes: dict[str, Any], place: str, near: str
) -> None:
    """The place is that of the document: no branch of a union stands in it."""
    told = _told(study_body(**changes))
    assert near in told[place]
    assert "Extra inputs" not in told[place]


def test_a_union_s_branches_are_no_places() -> None:
    """A type that there is not names the near one; a missing one is asked for."""
    floot = [{"type": "floot", "name": "a", "low": 0, "high": 1}]
    told = _told(study_body(search_space={"parameters": floot}))
    assert told == {"search_space/parameters/0": "There is no type 'floot'. Did you mean 'float'?"}
    told = _told(study_body(search_space={"parameters": [{"name": "a"}]}))
    assert told == {"search_space/parameters/0": "It must say its 'type'."}


def test_what_is_no_object_says_which_keys_it_would_have() -> None:
    """A task is no name alone."""
    told = _told(study_body(configuration={"backbone": "b", "task": "rotten-tomatoes"}))
    assert told["configuration/task"].startswith("This must be an object with keys such as name")


@pytest.mark.parametrize("written", ["score", "score=1", "score:", ":1", "score:x", "score:1,5", "score<1"])
def test_a_malformed_bound_shows_how_one_is_written(written: str) -> None:
    """An example, and no regular expression."""
    told = _told({"at_most": (written,)}, RecommendationQuery)
    assert told["at_most/0"] == f"'{written}' is not written as it must be, as in 'score:0.8'."


def test_a_nul_is_named() -> None:
    """And not by the pattern that forbids it."""
    assert "NUL" in _told(study_body(display_name="a\0b"))["display_name"]
