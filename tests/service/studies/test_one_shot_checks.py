"""A super-network that could score nothing is refused when the study is posted, with the reason."""

from typing import Any

import pytest

from service.errors import InvalidStudy
from service.studies.validation import validate_study
from tests.conftest import make_study_request
from tests.service.trials.test_ask_and_tell import SPACE

pytestmark = pytest.mark.usefixtures("service_environment")

SCORE = {"metric": "score", "direction": "maximize"}
FLOPS = {"metric": "flops", "direction": "minimize"}
BASE = {"backbone": "all-MiniLM-L6-v2", "task": {"name": "rotten-tomatoes"}}


@pytest.mark.parametrize(
    ("changes", "detail"),
    [
        ({"search_space": {"preset": "autopeft"}}, "nothing that is searched makes the backbone smaller"),
        (
            {"objectives": [FLOPS, {"metric": "latency_ms", "direction": "minimize"}]},
            "ranked by their 'score'",
        ),
        (
            {"configuration": {**BASE, "peft": {"method": "head_only"}}},
            "the head alone would be trained",
        ),
        ({"configuration": {**BASE, "peft": {"method": "ia3"}}}, "'ia3' is not known to work"),
        (
            {"configuration": {**BASE, "quantisation": "8bit"}},
            "weights that are quantised cannot be cut",
        ),
    ],
    ids=["no architecture", "no score", "head alone", "method", "quantised"],
)
def test_what_cannot_be_scored_is_refused(changes: dict[str, Any], detail: str) -> None:
    """With a field and a sentence."""
    posted = {
        "search_space": {"preset": "depth"},
        "objectives": [SCORE, FLOPS],
        "budget": {"trials": 32},
        "proposals": {"one_shot": {}},
    }
    with pytest.raises(InvalidStudy) as refused:
        validate_study(make_study_request(**{**posted, **changes}), tenant_id="tnt_1")
    assert any(detail in error.detail for error in refused.value.errors)


def test_a_custom_study_has_no_super_network() -> None:
    """Its trials are the caller's."""
    request = make_study_request(
        kind="custom", configuration=None, search_space=SPACE, proposals={"one_shot": {"epochs": 1}}
    )
    with pytest.raises(InvalidStudy) as refused:
        validate_study(request, tenant_id="tnt_1")
    assert "/proposals/one_shot" in [error.pointer for error in refused.value.errors]
