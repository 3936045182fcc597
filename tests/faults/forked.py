"""Runs forked from a process that has imported everything once: the whole small pipeline in seconds, to be killed.

As a script it is that process: it takes one JSON object a line and answers with one. As a module it is what tests ask.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


# -- what tests ask ----------------------------------------------------------------------------------------------------


class WarmParent:
    """The process that forks; its children lead sessions of their own."""

    def __init__(self, log: Path):
        self._log = log.open("w")
        own = {name: text for name, text in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_"))}
        self.process = subprocess.Popen(
            [sys.executable, "-u", __file__],
            env=own
            | {
                "PYTHONPATH": str(ROOT),
                "OMP_NUM_THREADS": "1",
                "JE_ARROW_MALLOC_CONF": "background_thread:false",  # pyarrow has a thread of its own
                "DVC_NO_ANALYTICS": "1",
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._answer()["threads"] == 1, "a process with threads must not fork"

    def start(self, root: Path, job: str = "run", **options: Any) -> int:
        """Starts a job in a project; returns the process's id."""
        return int(self._ask({"do": "start", "job": job, "root": str(root), **options})["pid"])

    def wait(self, pid: int, seconds: float = 120.0) -> int | None:
        """A job's exit code, minus the signal that ended it; None where it is still at work after these seconds."""
        code = self._ask({"do": "wait", "pid": pid, "seconds": seconds})["code"]
        return None if code is None else int(code)

    def run(self, root: Path, job: str = "run", **options: Any) -> int:
        """Runs a job to its end; returns its exit code."""
        code = self.wait(self.start(root, job, **options), 300.0)
        assert code is not None, said(root)
        return code

    def stop(self) -> None:
        """Ends it, and with it nothing else: what it forked are processes of their own."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=30)
        self.process.stdout.close()
        self._log.close()

    def _ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"the warm parent ended; {self._log.name} says why"
        answer: dict[str, Any] = json.loads(line)
        return answer


def said(root: Path) -> str:
    """What the jobs of a project have printed."""
    path = root / LOG
    return path.read_text(errors="replace") if path.is_file() else ""


EAGER = 0.05
TRACING = "FAULTS_TRACING"  # in the environment of workers, which import this file too
LOG = ".headstart/forked.log"
TRACE = ".headstart/trace.jsonl"


def trace(root: Path) -> list[dict[str, Any]]:
    """What trainings did, in order: {"what": "saved" or "restored", "of": training, "step": n, "pid": process}."""
    path = root / TRACE
    lines = path.read_text().splitlines() if path.is_file() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


# -- the process that forks --------------------------------------------------------------------------------------------


def main() -> None:
    _import_everything()
    tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else 1
    print(json.dumps({"threads": tasks}), flush=True)
    while line := sys.stdin.readline():
        question = json.loads(line)
        answer = {"pid": _fork(question)} if question["do"] == "start" else {"code": _wait(question)}
        print(json.dumps(answer), flush=True)


def _import_everything() -> None:
    from importlib import import_module

    from headstart.strategies.table import STRATEGIES
    from tasks.step import STEPS
    from tasks.tracking.store import prepare

    prepare()
    names = ["torch", "dvc.repo", "dvc.api", "networkx", "mlflow.tracking", "mlflow.pyfunc", "headstart.cells.run"]
    names += ["mlflow.store.tracking.sqlalchemy_store", "mlflow.store.model_registry.sqlalchemy_store", "tasks.warm"]
    names += ["tasks.cold", "tasks.promote", "flows.plan", "matplotlib.pyplot", "headstart.prediction"]
    names += [entry.target.split(":")[0] for table in (STRATEGIES, STEPS.values()) for entry in table]
    for name in names:
        import_module(name)


def _fork(question: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        os.setsid()
        root = Path(question["root"])
        (root / ".headstart").mkdir(exist_ok=True)
        out = os.open(root / LOG, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.chdir(root)
        os.environ.update(question.get("env", {}))
        code = _ended(JOBS[question["job"]], root, question)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _ended(job: Callable[[Path, dict[str, Any]], None], root: Path, options: dict[str, Any]) -> int:
    """As flows/cli.py has it."""
    import traceback

    from headstart.errors import HeadstartError

    def stop(number: int, frame: object) -> None:
        sys.exit(143)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        job(root, options)
    except HeadstartError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return int(error.code or 0)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _wait(question: dict[str, Any]) -> int | None:
    end = time.monotonic() + question["seconds"]
    while True:
        pid, status = os.waitpid(question["pid"], os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > end:
            return None
        time.sleep(0.005)


# -- jobs --------------------------------------------------------------------------------------------------------------


def run_pipeline(root: Path, options: dict[str, Any]) -> None:
    """The steps as flows/transfer.py has them up to the verdict: with the real lock, MLflow store, DVC and workers.

    eager: a checkpoint every EAGER seconds. workers: "forkserver" as always, or "fork", which takes no seconds to
    start. patient: waits for the workspace where another run has it. settings: that it writes to params.yaml first, as
    flags are. only: the steps, by (name, item), where not all of them. pause: seconds after each checkpoint.
    """
    import logging
    from uuid import uuid4

    from headstart.errors import BusyError
    from tasks.grid import check_meaning
    from tasks.warm import open_run
    from tasks.workspace import here

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(process)d %(message)s")
    logging.getLogger("mlflow").setLevel(logging.ERROR)
    os.environ[TRACING] = json.dumps([str(root), options.get("eager", False), options.get("pause", 0.0)])
    _trace_trainings()
    if options.get("workers", "fork") == "fork":
        _fork_workers()
    workspace = here()
    while True:
        try:
            with workspace.locked():
                for name, text in options.get("settings", {}).items():
                    _set(workspace.params, name, text)
                settings = workspace.settings()
                with open_run(workspace, settings, options.get("key") or str(uuid4())) as run:
                    for name, item in options.get("only") or _steps(settings):
                        if name == "pretrain":
                            check_meaning(workspace, settings, settings.finetune.strategies)
                        run.step(name, item)
                    outcomes = {name: result.outcome for name, result in run.results.items()}
                    print(f"{os.getpid()} outcomes {json.dumps(outcomes)}", flush=True)
            return
        except BusyError:
            if not options.get("patient"):
                raise
            time.sleep(0.1)


def _steps(settings: Any) -> list[tuple[str, str]]:
    found = [("ingest_target", ""), *(("ingest_source", source) for source in settings.source.data)]
    found += [("pretrain", source) for source in settings.source.data]
    found += [("extract", ""), ("explore", ""), ("quality", ""), ("rank", "")]
    found += [("finetune", strategy) for strategy in settings.finetune.strategies]
    return found + [(name, "") for name in ("remedy", "select", "evaluate")]


def _set(params: Path, name: str, value: object) -> None:
    from io import StringIO

    from ruamel.yaml import YAML

    from headstart.storage.publish import write_text

    yaml = YAML()
    document = yaml.load(params)
    text = StringIO()
    *sections, key = name.split(".")
    place = document
    for section in sections:
        place = place[section]
    place[key] = value
    yaml.dump(document, text)
    write_text(params, text.getvalue())


def _trace_trainings() -> None:
    """Notes what is saved and where trainings go on. When checkpoints are written has no influence on the bytes."""
    from headstart.training.checkpoint import Checkpoints

    place, eager, pause = json.loads(os.environ[TRACING])
    root = Path(place)
    if eager:
        Checkpoints.__init__.__kwdefaults__["every"] = EAGER
    save, restore = Checkpoints.save, Checkpoints.restore

    def note(what: str, own: Any, step: int) -> None:
        if own.directory is None:
            return
        line = json.dumps({"what": what, "of": own.directory.name, "step": step, "pid": os.getpid()})
        with (root / TRACE).open("a") as file:
            file.write(line + "\n")

    def noted_save(self: Any, state: Any, *given: Any, **named: Any) -> None:
        save(self, state, *given, **named)
        note("saved", self, state.step)
        time.sleep(pause)

    def noted_restore(self: Any, *given: Any, **named: Any) -> Any:
        state = restore(self, *given, **named)
        note("restored", self, state.step)
        return state

    Checkpoints.save, Checkpoints.restore = noted_save, noted_restore  # type: ignore[method-assign]


def _fork_workers() -> None:
    """Workers come from this process and not from a clean one: torch need not be imported again, for seconds.

    They let go of the locks that come with them, which those of a clean process never have.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    from functools import cache

    from tasks import workers

    @cache
    def pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(
            max_workers=2,
            mp_context=multiprocessing.get_context("fork"),
            initializer=_begin_forked,
            initargs=(os.getpid(),),
        )

    workers.pool = pool


def _begin_forked(parent: int) -> None:
    from tasks import workers

    for number in os.listdir("/proc/self/fd"):
        path = f"/proc/self/fd/{number}"
        if os.path.exists(path) and os.readlink(path).endswith(".lock"):
            os.close(int(number))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    workers.begin(parent)


def collect_garbage(root: Path, options: dict[str, Any]) -> None:
    """`dvc gc --workspace`: only what the checkout has now stays in DVC's cache."""
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        repo.gc(workspace=True)


JOBS: dict[str, Callable[[Path, dict[str, Any]], None]] = {"run": run_pipeline, "gc": collect_garbage}

if __name__ == "__main__":
    main()
elif __name__ == "__mp_main__" and TRACING in os.environ:
    _trace_trainings()
