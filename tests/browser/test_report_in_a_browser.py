"""The report of a run as it looks on wide and narrow screens, in light and dark, and to those who do not see it."""

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

pytestmark = pytest.mark.browser
BARRIERS = ("serious", "critical")  # in the words of axe-core


@pytest.fixture(scope="module")
def report(run, serving) -> Path:
    """A copy of it stays in the checkout's state when the run's worktree goes."""
    (page,) = (serving.project.root / ".headstart" / "reports").glob("*/report.html")
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1300, 390])
def test_it_fits_and_has_no_barriers(report, look, shoot, width, scheme):
    page = look(report.as_uri(), width=width, height=900, scheme=scheme)
    shoot(page, f"report-{width}-{scheme}", whole=True)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    found = Axe().run(page).response
    barriers = [
        f"{one['id']}: {one['help']}" for one in found["violations"] if one["impact"] in ("serious", "critical")
    ]
    assert barriers == []
    assert "color-contrast" in {one["id"] for one in Axe().run(page, options={}).response["passes"]}


def test_classes_named_like_tags_are_words(report, look, evil):
    page = look(report.as_uri())
    for name in evil:
        expect(page.get_by_text(name, exact=True).first).to_be_attached()
    assert page.locator("script, img[src=x]").count() == 0
    assert page.title().endswith("Headstart report")
