"""The default stands unless another is surely better, or as good and cheaper; what more certainty costs."""

import pytest
from scipy.special import ndtr

from service.trials.default_protection import Default, Lead, probability_better, protect, trainings_to_be_sure
from service.trials.recommendation import Choice, Point
from tests.service.trials.test_recommendation import OBJECTIVES, scored

DEFAULT = scored(0, 0.80, 74_498)
CHOICE = Choice(0, "It is the knee.")


def against(rival: Point, *, standard_error: float | None, noise: float | None = 0.01) -> Default:
    points = [rival, DEFAULT]

    def lead_of(position: int) -> Lead:
        difference = points[position].metrics["score"] - DEFAULT.metrics["score"]
        return Lead(difference, standard_error, noise)

    return Default(1, "score", lead_of)


def test_the_chance_is_that_of_a_normal_distribution() -> None:
    """Of exact values it is none or all; where no error is known, nothing is claimed."""
    assert probability_better(Lead(0.02, 0.01, None)) == pytest.approx(float(ndtr(2.0)))
    assert [probability_better(Lead(lead, 0.0, None)) for lead in (-1.0, 0.0, 1.0)] == [0.0, 0.0, 1.0]
    assert probability_better(Lead(0.02, None, None)) is None


def test_the_price_brings_the_chance_to_the_mark() -> None:
    """So many trainings suffice, and two fewer do not."""
    lead = Lead(0.01, 0.015, 0.02)
    trainings = trainings_to_be_sure(lead)
    assert trainings is not None

    def chance_after(each: float) -> float:
        error = (lead.standard_error**-2 + each / (2 * lead.noise**2)) ** -0.5  # type: ignore[operator]
        return float(ndtr(lead.difference / error))

    assert chance_after(trainings / 2) >= 0.9 > chance_after(trainings / 2 - 1)


@pytest.mark.parametrize(
    "lead",
    [Lead(-0.01, 0.01, 0.02), Lead(0.05, 0.01, 0.02), Lead(0.01, 0.0, 0.0), Lead(0.01, None, None)],
    ids=["worse", "sure already", "exact", "unknown"],
)
def test_where_seeds_would_tell_nothing_there_is_no_price(lead: Lead) -> None:
    """Nor where they are not needed."""
    assert trainings_to_be_sure(lead) is None


def test_an_unsure_rival_that_costs_more_leaves_the_default() -> None:
    """With the chance and the price of more certainty."""
    rival = scored(7, 0.81, 100_000)
    choice, compared = protect(OBJECTIVES, [rival, DEFAULT], CHOICE, against(rival, standard_error=0.012))
    assert choice.position == 1
    assert choice.reason == (
        "The default, trial 0, LoRA of rank 8, stands: trial 7, which the rule chooses, is better in score "
        "with probability 0.798, which is not 0.9, and not as good and cheaper. To reach 0.9 costs about 4 "
        "further trainings with fresh seeds, half of them for each of the two, if the difference stays as it "
        "is."
    )
    assert compared is not None
    assert (compared.set_aside, compared.chosen_number, compared.default_number) == (True, 7, 0)
    assert compared.trainings_to_be_sure == 4


def test_a_surely_better_rival_is_recommended() -> None:
    """Whatever it costs."""
    rival = scored(7, 0.83, 10**6)
    choice, compared = protect(OBJECTIVES, [rival, DEFAULT], CHOICE, against(rival, standard_error=0.01))
    assert choice.position == 0
    assert choice.reason.startswith(
        "It is the knee. Against the default, trial 0, LoRA of rank 8, it is better"
    )
    assert compared is not None
    assert not compared.set_aside


def test_as_good_and_cheaper_is_enough() -> None:
    """Equal in score at fewer parameters; one that is worse by a little is not as good."""
    rival = scored(7, 0.80, 1_000)
    points = [rival, DEFAULT]
    choice, _ = protect(OBJECTIVES, points, CHOICE, against(rival, standard_error=0.01))
    assert choice.position == 0
    assert choice.reason.endswith("better in score with probability 0.5, and cheaper.")
    worse = scored(7, 0.799, 1_000)
    assert protect(OBJECTIVES, [worse, DEFAULT], CHOICE, against(worse, standard_error=0.01))[0].position == 1


def test_a_smaller_network_must_be_cheaper_in_something() -> None:
    """It need not be as good, but one that costs more in everything is no trade."""
    for trained, position in ((60_000, 0), (100_000, 1)):
        rival = scored(7, 0.79, trained)
        default = against(rival, standard_error=0.01)
        choice, compared = protect(OBJECTIVES, [rival, DEFAULT], CHOICE, default, is_smaller=True)
        assert choice.position == position
        assert compared is not None
        assert compared.set_aside == bool(position)


def test_a_dominated_default_gives_way_to_what_dominates_it() -> None:
    """The knee is not as good as the default, but another point of the front is, and cheaper."""
    points = [scored(7, 0.78, 1_000), scored(5, 0.805, 20_000), DEFAULT]
    default = Default(2, "score", lambda row: Lead(points[row].metrics["score"] - 0.80, 0.01, 0.01))
    choice, compared = protect(OBJECTIVES, points, CHOICE, default)
    assert choice.position == 1
    assert choice.reason.startswith("Trial 5 is expected to be as good in score as the default")
    assert compared is not None
    assert compared.set_aside


def test_without_known_errors_the_default_stands() -> None:
    """A chance that nobody knows is not 0.9."""
    rival = scored(7, 0.9, 10**6)
    default = against(rival, standard_error=None, noise=None)
    choice, compared = protect(OBJECTIVES, [rival, DEFAULT], CHOICE, default)
    assert choice.position == 1
    assert "with a chance that nobody knows, for want of seeds" in choice.reason
    assert compared is not None
    assert compared.probability_better is None


def test_the_default_needs_no_defence_against_itself() -> None:
    """Nothing is compared, and where nothing was chosen nothing is either."""
    default = against(DEFAULT, standard_error=0.01)
    for choice in (Choice(1, "It is the knee."), Choice(None, "No clear knee.")):
        assert protect(OBJECTIVES, [DEFAULT, DEFAULT], choice, default) == (choice, None)
