"""The flow `promote` on a real server: it pauses with a form, and does what the person says."""

import sys

import pytest

SCRIPT = """
import sys
import threading
import time

from flows.server import start_prefect
from tasks.promote import open_models
from tasks.workspace import here

workspace = here()
models, name = open_models(workspace)
first = models._client.get_model_version(name, "1")
models._client.create_model_version(name, source=first.source)
models.set_alias(name, "challenger", "2")

with start_prefect(workspace.state) as server:
    from prefect.client.orchestration import get_client
    from flows.promote import promote
    server.wait()
    asked = []

    def person():
        with get_client(sync_client=True) as client:
            while not asked:
                time.sleep(0.3)
                paused = [run for run in client.read_flow_runs() if run.state and run.state.is_paused()]
                if paused:
                    asked.append(paused[0].state.state_details.run_input_keyset)
                    client.resume_flow_run(paused[0].id, run_input={"approve": sys.argv[1] == "yes"})

    threading.Thread(target=person, daemon=True).start()
    promote(approval="ask", patience=60)
    with get_client(sync_client=True) as client:
        (artifact,) = client.read_artifacts()
        (run,) = [run for run in client.read_flow_runs() if run.parameters.get("approval") == "ask"]
    wrong = promote("77", return_state=True)
print(wrong.type.value, wrong.message)
print(sorted(asked[0]), run.state.type.value)
print(artifact.data)
print(models.aliases(name)["champion"])
"""


@pytest.mark.parametrize(("answer", "champion"), [("yes", "2"), ("no", "1")])
def test_a_person_is_asked_where_the_comparison_does_not_settle_it(warm, tmp_path, answer, champion):
    project = warm.copy(tmp_path / "project")
    done = project.run(sys.executable, "-c", SCRIPT, answer)
    said = done.stdout.splitlines()
    assert said.pop(-4).startswith("FAILED ")
    assert "Traceback" not in done.stderr, "a version that is not there is one line"
    assert said[-3] == "['description', 'response', 'schema'] COMPLETED"
    assert said[-2].startswith(f"champion: version {champion} ")
    assert ("approved by a person" in said[-2]) == (answer == "yes")
    assert said[-1] == champion
