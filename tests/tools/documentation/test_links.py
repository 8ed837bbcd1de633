"""Links of files as their pages need them."""

import pytest

from tools.documentation.links import page_of, site_links


@pytest.mark.parametrize(
    ("file", "page"),
    [
        ("README.md", "index.md"),
        ("docs/howto/keys.md", "howto/keys.md"),
        ("service/settings.py", None),
        ("docs/decisions", None),
    ],
)
def test_only_documents_are_pages(file: str, page: str | None) -> None:
    """Those of docs/, and three that lie beside it."""
    assert page_of(file) == page


@pytest.mark.parametrize(
    ("file", "written", "shown"),
    [
        ("README.md", "[a](docs/faq.md#b)", "[a](faq.md#b)"),
        ("README.md", "![a](docs/images/a.png)", "![a](images/a.png)"),
        ("docs/howto/keys.md", "[a](../../CHANGELOG.md)", "[a](../changelog.md)"),
        ("docs/howto/keys.md", "[a](../faq.md)", "[a](../faq.md)"),
        ("docs/faq.md", "[a](https://example.org/a.py)", "[a](https://example.org/a.py)"),
        ("docs/faq.md", "[a](#b)", "[a](#b)"),
    ],
)
def test_links_lead_from_page_to_page(file: str, written: str, shown: str) -> None:
    """Wherever the file lies that a page is made from."""
    assert site_links(written, file=file) == shown


def test_what_is_no_page_is_named() -> None:
    """Once: where the text of the link is the path already, it stays."""
    assert site_links("[the tour](../service/app.py)", file="docs/a.md") == "the tour (`service/app.py`)"
    assert site_links("[service/app.py](../service/app.py)", file="docs/a.md") == "service/app.py"
