"""The system's Chromium without a window, in which no page may ask for anything beyond this machine; its pictures."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from serving import Serving

ROOT = Path(__file__).parents[2]
SECONDS = 120.0  # that anything may take to appear: the machine may be busy
EVIL = ("<script>", "<img src=x onerror=document.title=1>")  # names of classes, for folders may be named so

KNOWN = "try { localStorage.setItem('prefect-password', btoa(%s)) } catch {}"  # a page without an origin has no storage

Look = Callable[..., Page]
expect.set_options(timeout=1000 * SECONDS)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    assert program, "chromium is not installed; `make test-browser` installs it, or says how"
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox does not work for root
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=alone)
        yield chromium
        chromium.close()


@contextmanager
def looking(chromium: Browser) -> Iterator[Look]:
    """Opens addresses, each in a window of its own; an error at the end if any page asked for something beyond here."""
    beyond, contexts = [], []

    def look(url: str, *, width: int = 1300, height: int = 1000, scheme: str = "light", password: str = "") -> Page:
        size = {"width": width, "height": height}
        context = chromium.new_context(viewport=size, color_scheme=scheme, reduced_motion="reduce")
        context.set_default_timeout(1000 * SECONDS)
        context.on("request", lambda request: None if is_here(request.url) else beyond.append(request.url))
        if password:  # as where it was given before
            context.add_init_script(KNOWN % json.dumps(password))
        contexts.append(context)
        page = context.new_page()
        page.goto(url)
        return page

    try:
        yield look
    finally:
        for context in contexts:
            context.close()
    assert beyond == []


def is_here(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("about", "data", "blob", "file") or parts.hostname == "127.0.0.1"


@pytest.fixture
def look(chromium: Browser) -> Iterator[Look]:
    with looking(chromium) as look:
        yield look


@pytest.fixture(scope="session")
def keep_looking(chromium: Browser) -> Iterator[Look]:
    """For windows that several tests look at."""
    with looking(chromium) as look:
        yield look


@pytest.fixture(scope="session")
def shoot() -> Callable[..., None]:
    """Keeps a picture of a page, in HEADSTART_SCREENSHOTS."""
    folder = Path(os.environ.get("HEADSTART_SCREENSHOTS") or ROOT / "build" / "screenshots")
    folder.mkdir(parents=True, exist_ok=True)

    def shoot(page: Page, name: str, *, whole: bool = False) -> None:
        page.screenshot(path=folder / f"{name}.png", full_page=whole)

    return shoot


@pytest.fixture(scope="session")
def evil() -> tuple[str, str]:
    """Two classes of the target are named like tags."""
    return EVIL


@pytest.fixture(scope="session")
def serving(make_project, tmp_path_factory) -> Iterator[Serving]:
    """`headstart serve` in a small project."""
    project = make_project(**{"finetune.strategies": ["scratch", "linear_probe", "full"]})
    sketches = project.root / "data" / "sketches"
    for name, other in zip(("cross", "disc"), EVIL, strict=True):
        (sketches / name).rename(sketches / other)
    project.run("dvc", "add", "-q", "data/sketches")
    project.run("git", "commit", "-qam", "classes that are named like tags")
    serving = Serving(project, tmp_path_factory.mktemp("serve") / "log.txt")
    yield serving
    if serving.process.poll() is None:
        serving.stop()


@pytest.fixture(scope="session")
def run(serving: Serving, keep_looking: Look, shoot: Callable[..., None]) -> Page:
    """The page of a run that was started by the form and has ended, and how it got there."""
    page = keep_looking(f"{serving.served.prefect}/deployments", height=2300)
    asked = page.get_by_placeholder("admin:pass")
    asked.fill("headstart:guessed")
    page.get_by_role("button", name="Login").click()
    expect(page.get_by_text("Authentication failed.").first).to_be_visible()
    asked.fill(serving.password)
    page.get_by_role("button", name="Login").click()
    page.get_by_role("link", name="transfer", exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_text("Custom run").click()
    labels = field(page, "Labels per class").locator("input")
    expect(labels).to_have_value("4")  # as params.yaml says
    shoot(page, "1-form")

    labels.fill("1")
    page.get_by_role("button", name="Submit").click()
    expect(page.get_by_text("1 is less than the minimum of 2").first).to_be_visible()
    page.wait_for_timeout(1000)  # it fades in
    shoot(page, "2-refused")
    assert serving.runs() == []

    labels.fill("5")
    field(page, "Backbone").locator(".p-select-button__icon").click()  # a click on its words closes it again
    page.get_by_role("option", name="resnet14", exact=True).click()
    shoot(page, "3-filled-in")
    page.get_by_role("button", name="Submit").click()
    (made,) = serving.until(serving.runs, SECONDS)
    page.set_viewport_size({"width": 1300, "height": 1000})
    page.goto(f"{serving.served.prefect}/runs/flow-run/{made['id']}")
    expect(page.get_by_text("pretrain epoch 1/2: loss").first).to_be_attached()
    shoot(page, "4-running")
    serving.until(lambda: page.get_by_text("Completed", exact=True).first.is_visible(), 2 * SECONDS)
    shoot(page, "5-completed")
    return page


def field(page: Page, title: str):
    """A field of the form."""
    return page.locator(".schema-form-property").filter(has=page.get_by_text(f"{title} (Optional)", exact=True)).last
