"""predict: a delivered model on new rows, from its directory or from MLflow's registry. No step of the pipeline."""

import json
import tempfile
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from headstart.errors import IntegrityError, SettingsError, UserError
from headstart.modalities.table import IMAGE, MODALITIES, ModalityEntry
from headstart.prediction.inputs import find_inputs
from headstart.prediction.output import check_output
from headstart.prediction.predict import CHUNK, Counts, Progress
from tasks import workers
from tasks.devices import Device, available, lease
from tasks.progress import Bars
from tasks.workspace import Workspace, here

if TYPE_CHECKING:
    from headstart.prediction.model import Model

PATIENCE = 0.0  # seconds that a prediction waits for a GPU: whoever asks for one is there to choose another device


def predict(
    model: str, given: Path, out: Path | None, *, device: str = "", batch_size: int | None = None, force: bool = False
) -> Counts:
    """Predicts what is at `given` with a delivered model, into `out` or onto standard output.

    model: a directory, champion or challenger of the project, or a name of MLflow's registry. device: such as cpu or
    cuda:1; "" for the first that is free.

    Raises:
        UserError: no such model or device, it is damaged, or the input or output cannot be used; see the core's.
        BusyError: a run holds the GPU.
    """
    if out is not None:
        check_output(out, given=given, force=force)
    kind = _kind_of(model)
    inputs = find_inputs(given, kind)
    with ExitStack() as stack:
        loaded = stack.enter_context(opened_model(model, device=device, batch_size=batch_size))
        from headstart.prediction.predict import predict as predict_all

        _check_kind(loaded, kind)
        decoders = stack.enter_context(_decoders(inputs.count))
        # A bar would catch what is printed.
        progress = stack.enter_context(_progress(loaded)) if out is not None else _no_progress
        return predict_all(
            loaded.model, inputs, out, workers=decoders, batch_size=loaded.model.batch_size, progress=progress
        )


def predict_new(
    model: str,
    given: Path,
    out: Path,
    *,
    device: str = "",
    batch_size: int | None = None,
    patience: float = PATIENCE,
) -> tuple[Counts, int]:
    """Predicts what at `given` is not known in the folder `out` yet; returns with the counts how many were known.

    The model is not even loaded where nothing is new. patience: seconds to wait for a GPU that a run holds.

    Raises:
        UserError: as `predict`, or `out` is a file.
        BusyError: a run holds the GPU, or another process the folder.
    """
    kind = _kind_of(model)
    inputs = find_inputs(given, kind)
    from headstart.prediction.ledger import find_new, holding
    from headstart.prediction.ledger import predict_new as add_new

    with holding(out), ExitStack() as stack:
        new = find_new(inputs, out)
        if not new.files:
            return Counts(0, 0, ()), new.already
        loaded = stack.enter_context(opened_model(model, device=device, batch_size=batch_size, patience=patience))
        decoders = stack.enter_context(_decoders(len(new.files)))
        _check_kind(loaded, kind)
        progress = stack.enter_context(_progress(loaded))
        counts = add_new(
            loaded.model,
            new,
            out,
            name=loaded.name,
            workers=decoders,
            batch_size=loaded.model.batch_size,
            progress=progress,
        )
        return counts, new.already


def _kind_of(model: str) -> ModalityEntry:
    """What a model takes, before it is loaded: by its card, or as the project has it."""
    with suppress(OSError, ValueError, KeyError, TypeError, SettingsError):
        card = json.loads((Path(model).expanduser() / "card.json").read_text(encoding="utf-8"))
        return MODALITIES.get(card["modality"])
    with suppress(UserError):
        return here().settings().data.row_kind
    return IMAGE


def _check_kind(loaded: "Opened", kind: ModalityEntry) -> None:
    """Refuses a registered model that was trained on rows of another kind than the project's.

    Raises:
        UserError: both kinds.
    """
    if loaded.model.card.modality != kind.name:
        raise UserError(
            f"{loaded.name} takes {MODALITIES.get(loaded.model.card.modality).many}, and data.modality of this project "
            f"is {kind.name}; choose another model, or set data.modality"
        )


@dataclass(frozen=True)
class Opened:
    """A model that is ready to predict: what it is called, and where it runs."""

    name: str
    device: Device
    model: "Model"


@contextmanager
def opened_model(
    model: str, *, device: str = "", batch_size: int | None = None, patience: float = PATIENCE
) -> Iterator[Opened]:
    """A model by its directory or name, on its device, which it holds for the length of the block.

    Raises:
        UserError: no such model or device, or it is damaged.
        BusyError: a run holds the GPU for longer than `patience` seconds.
    """
    if batch_size is not None and batch_size < 1:
        raise UserError(f"--batch_size is {batch_size}, but at least 1 is needed")
    with ExitStack() as stack:
        found = stack.enter_context(_found(model))
        from headstart.prediction.model import load
        from headstart.training.accelerator import Accelerator

        chosen = stack.enter_context(_device(device, patience))
        # Half of the cores: the decoders have the others, and threads that wait for a core cost more than they give.
        accelerator = Accelerator(chosen.torch_name, threads=max(1, workers.cores() // 2))
        accelerator.start()
        try:
            loaded = load(found.directory, accelerator=accelerator, batch_size=batch_size)
        except IntegrityError as error:  # it is the user's choice of model, not a result of this project's steps
            raise UserError(f"the model cannot be used: {error}") from error
        yield Opened(found.name, chosen, loaded)


@contextmanager
def _progress(loaded: Opened) -> Iterator[Progress]:
    with Bars() as bars:
        yield lambda done, of: bars.show(f"predicting on {loaded.device.name}", done, of)


def _no_progress(done: int, of: int) -> None:
    """Nothing is shown."""


@dataclass(frozen=True)
class Found:
    """A model's directory, and what it is called: headstart-digits/3, or the directory as it was given."""

    name: str
    directory: Path


@contextmanager
def _found(model: str) -> Iterator[Found]:
    """The model's directory; a copy that is removed at the end where it lies with an MLflow server."""
    path = Path(model).expanduser()
    if path.is_dir() and not model.startswith("models:/"):
        _check_folder(path)
        yield Found(model, path)
        return
    if not model.startswith("models:/") and (len(path.parts) != 1 or path.exists()):
        raise UserError(f"{model} is no folder; give a model's directory, such as models/target/full")
    from tasks.promote import ALIASES, model_name
    from tasks.tracking import has_store, open_tracking

    workspace = _workspace()
    if workspace is None or not has_store(workspace.state):
        raise UserError(
            f"{model} is no folder, and there is no MLflow store to look the name up in: "
            + ("nothing has run here yet" if workspace else "this is not inside a Headstart project")
            + "; give a model's directory, or cd into the project"
        )
    if model in ALIASES:
        model = f"models:/{model_name(workspace.settings().target.data)}@{model}"
    with tempfile.TemporaryDirectory() as scratch:
        models = open_tracking(workspace.state).models
        yield Found(models.full_name(model), models.fetch(model, Path(scratch)))


def _check_folder(path: Path) -> None:
    """Refuses a folder that was never one of a model; a damaged one is found by its manifest later."""
    if (path / "weights.safetensors").exists() or ((path / "card.json").exists() and _lists_weights(path)):
        return
    inside = sorted(str(file.parent) for file in path.glob("**/weights.safetensors"))
    raise UserError(
        f"{path} is not a model's directory: it has no weights.safetensors; "
        + (f"did you mean {' or '.join(inside[:5])}?" if inside else "give one such as models/target/full")
    )


def _lists_weights(path: Path) -> bool:
    manifest = path / "manifest.json"
    return manifest.is_file() and "weights.safetensors" in manifest.read_text(errors="replace")


@contextmanager
def _device(wanted: str, patience: float) -> Iterator[Device]:
    """The device to predict on. A GPU is leased in a project, so that no training runs out of its memory.

    Raises:
        UserError: there is no such device.
        BusyError: a run holds it.
    """
    if wanted == "cpu":
        yield _cpu()
        return
    slots = tuple(slot for slot in available() if not wanted or wanted in (slot.torch_name, slot.kind))
    if not slots:
        there = sorted({"cpu", *(slot.torch_name for slot in available())})
        raise UserError(f"there is no device {wanted!r} here; choose one of {', '.join(there)}")
    workspace = _workspace()
    if workspace is None or slots[0].kind == "cpu":
        yield slots[0]
        return
    with lease(slots, workspace.state / "locks", timeout=patience) as device:
        assert device is not None
        yield device


def _cpu() -> Device:
    return next((slot for slot in available() if slot.kind == "cpu"), Device("cpu", 0, "CPU"))


@contextmanager
def _decoders(count: int) -> Iterator[Executor]:
    """The process pool; a thread where there is too little to decode for processes to pay."""
    if count <= CHUNK:
        with ThreadPoolExecutor(1) as executor:
            yield executor
        return
    try:
        yield workers.pool()
    finally:
        workers.stop()


def _workspace() -> Workspace | None:
    try:
        return here()
    except UserError:
        return None
