"""The pages of `headstart api` on the model that a run delivered: its description, and the form to try it."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(run, serving) -> str:
    """The address of a `headstart api` at work, on the run's champion."""
    project = serving.project
    command = [sys.executable, "-m", "flows.cli", "api", "--port", "0"]
    process = subprocess.Popen(command, cwd=project.root, env=project.env, stdout=subprocess.PIPE, text=True)
    said = process.stdout.readline()
    yield re.search(r"http://\S+", said).group()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)


@pytest.fixture
def picture(serving) -> Path:
    return next((serving.project.root / "data" / "sketches" / "bar").glob("*.png"))


def test_what_it_takes_and_answers_is_shown_without_the_internet(site, look, shoot, picture, evil):
    page = look(f"{site}docs")
    page.get_by_role("button", name="/predict").first.click()
    expect(page.get_by_text("Predicts each image.").first).to_be_visible()
    expect(page.get_by_text("the body is too long, or has too many files")).to_be_visible()
    for name in evil:
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    shoot(page, "api-docs", whole=True)
    page.get_by_role("button", name="Try it out").click()
    page.locator("input[type=file]").set_input_files(picture)
    page.get_by_role("button", name="Execute").click()
    expect(page.get_by_text(f'"{picture.name}"').first).to_be_visible()


def test_its_form_predicts_a_picture(site, look, shoot, picture):
    page = look(site)
    shoot(page, "api")
    page.get_by_label("Images").set_input_files(picture)
    page.get_by_role("button", name="Predict").click()
    expect(page.get_by_text(f'"name":"{picture.name}"')).to_be_visible()
