"""Keys and webhooks by id, by a unique beginning of it, or by name."""

import pytest

from paretune.id_reference import NoSuchId, find_id

KEYS = {"key_019aa3c5": "ci", "key_019aa3d1": "laptop", "key_01abc": "ci of the lab"}


def find_key(reference: str, names: dict[str, str]) -> str:
    return find_id(reference, names, kind="key", kinds="keys", listed_by="paretune keys list")


@pytest.mark.parametrize(
    ("reference", "wanted"),
    [
        ("key_019aa3c5", "key_019aa3c5"),
        ("key_01ab", "key_01abc"),
        ("019aa3d", "key_019aa3d1"),
        ("laptop", "key_019aa3d1"),
        ("ci", "key_019aa3c5"),
        ("key_" + "0" * 32, "key_" + "0" * 32),
    ],
)
def test_one_that_is_meant_is_found(reference: str, wanted: str) -> None:
    """A name is a whole name; a beginning may leave out the kind; of a whole id the server knows more."""
    assert find_key(reference, KEYS) == wanted


@pytest.mark.parametrize("reference", ["key_019aa3", "key_", "019"])
def test_a_beginning_of_several_is_refused(reference: str) -> None:
    """With those it may be, each with its name."""
    with pytest.raises(NoSuchId, match=r"may be any of [23] keys:\n  key_019aa3c5  ci\n"):
        find_key(reference, KEYS)


def test_a_name_of_several_is_refused() -> None:
    """Whichever was meant, the other would be ended by half of the people."""
    with pytest.raises(NoSuchId, match="any of 2"):
        find_key("ci", {"key_1": "ci", "key_2": "ci"})


@pytest.mark.parametrize("reference", ["", "key_9", "laptp"])
def test_what_is_not_there_is_refused(reference: str) -> None:
    """Nothing is no beginning of everything, even where there is one only."""
    with pytest.raises(NoSuchId, match="There is no key") as refused:
        find_key(reference, {"key_1": "laptop"})
    assert "paretune keys list" in str(refused.value)
    assert ("Did you mean 'laptop'?" in str(refused.value)) == (reference == "laptp")
