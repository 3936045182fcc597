"""Steps run warm, for the Prefect flow: in this process, through DVC's cache, with tracking and devices."""

import gc
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from headstart.cells.results import read_selection
from headstart.datasets.pack import read_pack_card
from headstart.errors import HeadstartError
from headstart.settings import Settings, knobs
from headstart.storage.publish import withdraw
from tasks import record, workers
from tasks.devices import Device, available, lease_together, measure
from tasks.progress import Bars
from tasks.step import STEPS, Context, Machines, Outcome, Step, figures, log
from tasks.tracking import Tracking, open_tracking
from tasks.versioning import Result, versioning_of
from tasks.workspace import Workspace

PATIENCE = 3600.0  # seconds that a step waits for a device
MANY = 200  # modules


class Run:
    """One run of the pipeline: the workspace, the seams to DVC and MLflow, and what became of each step."""

    def __init__(
        self,
        workspace: Workspace,
        settings: Settings,
        tracking: Tracking,
        parent: str,
        bars: Bars,
        machines: Machines | None = None,
    ):
        self.workspace = workspace
        self.settings = settings
        self.versioning = versioning_of(workspace.root)
        self.tracking = tracking
        self.parent = parent
        self.bars = bars
        self.machines = machines
        self.results: dict[str, Result] = {}
        self.makers: dict[str, str] = {}  # MLflow runs that made the results, as far as they are tracked
        self._children: dict[str, str] = {}
        self._spent: tuple[Path, ...] = ()

    def step(self, name: str, item: str = "") -> str:
        """Brings one step up to date and returns what it has to say."""
        full_name = f"{name}@{item}" if item else name
        said: list[str] = []
        self._refuse_edits()
        if name == "extract":
            self.workspace.prune_sources(self.settings.source.data)  # before DVC takes the digest of models/source
        if name == "remedy":
            self.workspace.prune_models(self.settings.finetune.strategies)  # and here of models/target
        result = self.versioning.ensure(full_name, lambda: said.append(self._perform(name, item)))
        self.results[full_name] = result
        for folder in self._spent:
            withdraw(folder)
        self._spent = ()
        if result.outcome == "ran":
            self.makers[full_name] = self._children[full_name]
            self.tracking.record_result(self.makers[full_name], result.digest)
            return said[0]
        if maker := self.tracking.link_skipped(self.parent, full_name, result.digest):
            self.makers[full_name] = maker
        return f"{full_name}: {'nothing changed' if result.outcome == 'unchanged' else 'restored from the cache'}"

    def fan_out(self, strategies: Sequence[str]) -> str:
        """Has the machines run the cells of all strategies at once, as far as their steps are to run.

        The steps find them finished. One step alone has as many cells as there are seeds, which leaves most of many
        machines idle.
        """
        from tasks.finetune import jobs_of
        from tasks.grid import run_cells

        self._refuse_edits()
        changed = self.versioning.changed()
        context = self._context(available()[:1], lambda values, step: None)
        jobs = [job for name in strategies if f"finetune@{name}" in changed for job in jobs_of(context, name)]
        run_cells(context, jobs, what="cells of all strategies")
        return f"{len(jobs)} cells of {len(strategies)} strategies are finished"

    def conclude(self) -> str | None:
        """Puts the verdict on the run itself, and registers the delivered model with MLflow unless it is there already.

        Returns the registered model's name and version, None where no new one was made.
        """
        verdict = self.workspace.read_verdict()
        said = {"headstart.verdict": verdict["sentence"], "mlflow.note.content": verdict["sentence"]}  # its description
        self.tracking.set_tags(self.parent, said)
        self.tracking.log_metrics(self.parent, figures(verdict))
        self.tracking.set_tags(self.parent, record.at_end(self.workspace))
        self.tracking.log_artifacts(self.parent, self.workspace.root / "dvc.lock", record.FOLDER)
        selection = read_selection(self.workspace.selection)
        step = f"finetune@{selection['strategy']}"
        return register_model(self, "remedy" if selection["delivered"].startswith("models/remedies") else step)

    def _perform(self, name: str, item: str) -> str:
        """Runs the step's function on its device, tracked as a child of the run."""
        self._refuse_edits()  # once more: from here on DVC compares
        step = STEPS[name]
        full_name = f"{name}@{item}" if item else name
        run_id = self._children[full_name] = self.tracking.start_step(self.parent, full_name)
        with ExitStack() as stack:
            stack.enter_context(self.tracking.ending(run_id))
            devices: tuple[Device, ...] = ()
            if count := step.device_count(self.settings):
                locks = self.workspace.state / "locks"
                devices = stack.enter_context(lease_together(available(), locks, count=count, timeout=PATIENCE))
            device = devices[0] if devices else None
            stack.enter_context(self.tracking.system_metrics(run_id))
            metrics = self.tracking.metrics(run_id)
            for dataset in step.datasets(self.settings, item):
                self.versioning.refuse_damaged(self.workspace.data(dataset))
            perform = _imported(step)
            with measure(device) as usage:
                outcome = perform(self._context(devices, metrics.add), *([item] if item else []))
            self._spent = outcome.spent
            metrics.flush()
            self._record(run_id, outcome, device)
            self.tracking.log_metrics(
                run_id, {"seconds": usage.seconds, "peak_memory_mib": usage.peak_memory_bytes / 2**20}
            )
        where = f" on {f'{len(devices)} x ' if len(devices) > 1 else ''}{device.name}" if device else ""
        return (
            f"{full_name}: {outcome.line} ({usage.seconds:.1f} s{where},"
            f" peak memory {usage.peak_memory_bytes / 2**20:.0f} MiB)"
        )

    def _refuse_edits(self) -> None:
        """Refuses to run a step whose result dvc.lock would file under settings that this run does not have.

        Raises:
            HeadstartError: params.yaml was edited since the run began.
        """
        now = knobs(self.workspace.settings())
        edited = [
            f"{name}: {knob.value} -> {now[name].value}"
            for name, knob in knobs(self.settings).items()
            if knob.value != now[name].value
        ]
        if edited:
            raise HeadstartError(
                f"params.yaml was edited during this run ({'; '.join(edited)}); what is finished is kept. Run again"
            )

    def _context(self, devices: tuple[Device, ...], add: Any) -> Context:
        return Context(
            workspace=self.workspace,
            settings=self.settings,
            device=devices[0] if devices else None,
            beside=devices[1:],
            metrics=lambda values, number: add(values, step=number),
            progress=self.bars.show,
            code=self.versioning.cells_digest,
            machines=self.machines,
        )

    def _record(self, run_id: str, outcome: Outcome, device: Device | None) -> None:
        tags = {"headstart.line": outcome.line} | ({"headstart.device": device.name} if device else {})
        self.tracking.set_tags(run_id, tags)
        self.tracking.log_params(run_id, outcome.params)
        self.tracking.log_metrics(run_id, outcome.metrics)
        for name in outcome.datasets:
            self.tracking.log_dataset(
                run_id,
                name=name,
                digest=self.versioning.data_digest(self.workspace.data(name)),
                source=str(self.workspace.data(name)),
                rows=sum(read_pack_card(self.workspace.pack(name)).splits.values()),
                context="source" if name in self.settings.source.data else "target",
            )
        for path in outcome.artifacts:
            self.tracking.log_artifacts(run_id, path, path.name if path.is_dir() else None)
        for name, part in outcome.parts.items():
            with self.tracking.ending(self.tracking.start_step(run_id, name)) as own:
                self._record(own, part, device)


def _imported(step: Step) -> Callable[..., Outcome]:
    """The step's function.

    What many modules bring with them is out of the garbage collector's sight from then on: to look through it took half
    a second, several times a run.
    """
    before = len(sys.modules)
    perform = step.load()
    if len(sys.modules) - before > MANY:
        gc.freeze()
    return perform


@contextmanager
def open_run(workspace: Workspace, settings: Settings, key: str, *, machines: Machines | None = None) -> Iterator[Run]:
    """Opens a run of the pipeline; its MLflow parent ends with the block.

    key: what finds the run again, such as the id of the flow run. machines: that run its cells, None where this one
    does.
    """
    tracking = open_tracking(workspace.state)
    tracking.close_orphans()
    name = f"{', '.join(settings.source.data)} -> {settings.target.data}"
    tags = record.at_start(workspace)
    parent = tracking.start_pipeline(key, params=settings.model_dump(mode="json"), name=name, tags=tags)
    tracking.log_artifacts(parent, workspace.params, record.FOLDER)
    with tracking.ending(parent), Bars() as bars:
        gc.freeze()  # as in _imported
        try:
            yield Run(workspace, settings, tracking, parent, bars, machines)
        finally:
            workers.stop()


def register_model(run: Run, step: str) -> str | None:
    """Makes the delivered weights, which `step` made, a servable model of MLflow's registry; None if they are already.

    It may have been trained by `dvc repro`, or by a run that was stopped before it came this far.
    """
    from importlib.metadata import version

    from headstart.datasets.pack import Pack
    from headstart.prediction.model import as_served
    from headstart.training.weights import read_card
    from tasks.promote import model_name

    name = model_name(run.settings.target.data)
    result = run.results[step].digest
    if run.tracking.models.is_registered(name, result):
        return None
    directory = run.workspace.delivered
    card = read_card(directory)
    pack = Pack(run.workspace.pack(run.settings.target.data))
    number = run.tracking.models.register(
        run.parent,
        directory,
        name=name,
        pip_requirements=[f"{package}=={version(package)}" for package in _packages(card.backbone)],
        input_example=as_served(pack.inputs[:2]),
        card={key: value for key, value in asdict(card).items() if isinstance(value, str | int | float)}
        | {"headstart.result": result},
    )
    if number is None:
        return None
    run.tracking.models.read(lambda: _announce(run, name, number))
    return f"{name}, version {number}"


def _announce(run: Run, name: str, number: str) -> None:
    """Gives the new version its card and its alias, and says who is champion now."""
    from tasks.promote import SCORED, challenge, write_scored

    models, verdict = run.tracking.models, run.workspace.read_verdict()
    models.describe(name, number, text=_description(run, verdict), tags={"headstart.verdict": verdict["sentence"]})
    with tempfile.TemporaryDirectory() as scratch:
        write_scored(run.workspace, Path(scratch))
        run.tracking.log_artifacts(run.parent, Path(scratch), SCORED)
    log.info("champion: %s", challenge(models, run.workspace, name, number).words)


def _description(run: Run, verdict: Mapping[str, Any]) -> str:
    """A version's page: what it is, the verdict on it, and how to predict with it."""
    from headstart.training.weights import read_card

    card = read_card(run.workspace.delivered)
    target, sources = run.settings.target.data, ", ".join(run.settings.source.data)
    labels = f"{card.label_budget} labels" if card.label_budget else card.trained_on
    return (
        f"**{verdict['sentence']}**\n\n{card.strategy} of {card.backbone}, from {sources} to {target}, with {labels} "
        f"(seed {card.seed}).\n\n`headstart predict --model champion IMAGES --out predictions.parquet`"
    )


def _packages(backbone: str) -> tuple[str, ...]:
    """What a delivered model needs where it is served."""
    return ("torch", "torchvision", "pandas", "safetensors", *(("timm",) if backbone.startswith("timm:") else ()))
