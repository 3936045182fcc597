"""A run as a person starts and follows it: Prefect's form, the run's page, its artifacts, MLflow's comparison."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser
STEPS = ("finetune@scratch", "finetune@full", "finetune@linear_probe")
TASKS = {
    "ingest target sketches",
    "ingest source shapes",
    "pretrain resnet14 on shapes",
    "extract features of shapes and sketches",
    "explore",
    "quality",
    "rank",
    *(f"finetune {name}, 5 labels a class, 2 seeds" for name in ("scratch", "linear_probe", "full")),
    "remedy",
    "select",
    "evaluate",
    "report",
}


def artifact(page: Page, run: str, key: str) -> None:
    """Opens an artifact from the tab of a run's page. run: the address of that."""
    page.goto(run)
    page.get_by_text("Artifacts", exact=True).first.click()
    page.get_by_text(key, exact=True).first.click()


def address(run: Page) -> str:
    return run.url.partition("?")[0]


def test_the_run_is_named_by_what_was_filled_in_and_says_its_verdict(run, serving):
    expect(run.get_by_text("transfer, resnet14, 5 labels a class").first).to_be_visible()
    expect(run.get_by_text("params.yaml: finetune.label_budget: 4 -> 5")).to_be_visible()
    expect(run.get_by_text("back: headstart run")).to_have_count(0)
    expect(run.get_by_text(re.compile("^ingest_target: sketches")).first).to_be_visible()  # Prefect adds the time
    (one,) = [run for run in serving.runs() if run["deployment_id"]]
    assert one["parameters"]["settings"]["backbone"] == "resnet14"
    assert one["parameters"]["settings"]["labels_per_class"] == 5
    assert "training from scratch" in one["state"]["message"]


def test_its_steps_are_the_tasks_of_the_run_below_it(run, look, serving, shoot):
    (below,) = [one for one in serving.runs() if one["parent_task_run_id"]]
    page = look(f"{serving.served.prefect}/runs/flow-run/{below['id']}?tab=Task+Runs", password=serving.password)
    page.get_by_text("Task Runs", exact=True).first.click()
    names = {one["name"] for one in serving.of("task_runs", below["id"])}
    assert {name.partition(" (")[0] for name in names} == TASKS  # in brackets: the device
    expect(page.get_by_text(f"{len(TASKS)} Task runs").first).to_be_visible()
    for name in ("report", "evaluate"):  # the newest; the page shows the others once it is scrolled
        expect(page.get_by_role("link", name=name, exact=True)).to_be_visible()
    shoot(page, "6-steps")


def test_the_artifacts_have_the_verdict_and_the_comparison(run, look, serving, shoot):
    page = look(address(run), password=serving.password)
    page.get_by_text("Artifacts", exact=True).first.click()
    for key in ("verdict", "comparison", "mlflow-run", "report"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()
    expect(page.get_by_text("No description")).to_have_count(0)
    shoot(page, "7-artifacts")
    artifact(page, address(run), "verdict")
    expect(page.get_by_role("heading", name="training from scratch")).to_be_visible()
    expect(page.get_by_text("backbone: resnet14")).to_be_visible()
    shoot(page, "8-verdict")
    artifact(page, address(run), "comparison")
    for strategy in ("scratch", "linear_probe", "full"):
        expect(page.get_by_role("table").get_by_text(strategy, exact=True).first).to_be_visible()
    shoot(page, "9-comparison")


def test_mlflow_compares_the_strategies(run, look, serving, shoot):
    page = look(f"{serving.served.mlflow}/#/experiments/1/runs?workflowType=machine_learning", width=1600)
    row = page.get_by_role("row").filter(has=page.get_by_role("link", name="shapes -> sketches"))
    row.locator("button").first.click()  # its steps
    for step in STEPS:
        one = page.get_by_role("row").filter(has=page.get_by_role("link", name=step, exact=True))
        one.locator("input[type=checkbox]").first.check(force=True)
    shoot(page, "10-mlflow-runs")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("Comparing 3 Runs")).to_be_visible()
    for step in STEPS:
        expect(page.get_by_text(step, exact=True).first).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    shoot(page, "11-mlflow-comparison")


def test_the_links_lead_to_the_run_and_to_the_report(run, look, serving, shoot):
    page = look(address(run), password=serving.password)
    artifact(page, address(run), "mlflow-run")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="this run in MLflow").click()
    expect(opened.value.get_by_text("points against training from scratch").first).to_be_visible()  # its description
    expect(opened.value.get_by_text("Model registry")).to_be_visible()
    shoot(opened.value, "12-mlflow-run")
    artifact(page, address(run), "report")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="the report").click()
    report = opened.value.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("training from scratch")
    shoot(opened.value, "13-report-in-mlflow")
