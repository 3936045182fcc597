"""Registered models: servable versions of what a run delivered, by name, version and alias."""

import importlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headstart.errors import HeadstartError, UserError
from tasks.tracking.sent import TAG_CHARACTERS, name_of, quoted, text_of
from tasks.tracking.store import ignore_known_warnings, means_away

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

    from tasks.tracking.runs import Tracking

LOADER = "headstart.prediction"  # the module by which a registered model is loaded
MODEL_NAME = re.compile(r"(?P<name>[^/@]+)(/(?P<version>[^/@]+)|@(?P<alias>[^/@]+))?")


class RegisteredModels:
    """The registered models of one store."""

    def __init__(self, tracking: "Tracking"):
        self._tracking = tracking

    @property
    def _client(self) -> "MlflowClient":
        return self._tracking._client

    def register(
        self,
        run_id: str,
        model_dir: Path,
        *,
        name: str,
        pip_requirements: Sequence[str],
        input_example: "np.ndarray[Any, Any]",
        card: Mapping[str, Any] | None = None,
        loader_module: str = LOADER,
    ) -> str | None:
        """Registers a delivered model as a servable one; returns its version, or None where MLflow is away.

        `input_example`: (batch >= 2, height, width, channels), float32 or uint8; the model is loaded by
        `loader_module._load_pyfunc(model_dir)` and must predict on it. The card's keys become the version's tags.
        A run registers a name once: again, and it returns the version that is there.

        Raises:
            ValueError: the example is of another shape or type, or the model gives another number of predictions.
        """
        ignore_known_warnings()
        signature = _tried_signature(model_dir, input_example, loader_module=loader_module)
        model = {
            "loader_module": loader_module,
            "data_path": str(model_dir),
            "pip_requirements": list(pip_requirements),
            "input_example": input_example,
            "signature": signature,
        }
        return self._tracking._read(
            lambda: self._register(self._tracking._resolve(run_id), name, model, card or {}), default=None
        )

    def is_registered(self, name: str, result: str) -> bool:
        """Whether the newest version of this registered model bears the tag headstart.result with this digest."""
        found = self._tracking._read(lambda: self._client.search_model_versions(f"name = {quoted(name)}"), default=[])
        newest = max(found, key=lambda version: int(version.version), default=None)
        return newest is not None and newest.tags.get("headstart.result") == result

    def fetch(self, name: str, scratch: Path) -> Path:
        """The directory that a registered model was made from; copied to `scratch` where it lies with a server.

        name: models:/<name>/<version>, models:/<name>/latest, models:/<name>@<alias>, or <name> for its newest version.

        Raises:
            UserError: there is no such model, version or alias; those that there are are named.
            HeadstartError: MLflow does not answer.
        """
        with self.answering():
            return self._fetch(name, scratch)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Within the block, an MLflow that does not answer is one clear error.

        Raises:
            HeadstartError: MLflow does not answer.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, HeadstartError) or not means_away(error, self._tracking.uri):
                raise
            raise HeadstartError(
                f"MLflow at {self._tracking.uri} does not answer ({str(error).splitlines()[0][:200]}); give the "
                "model's directory, or try again"
            ) from None

    def read(self, ask: Callable[[], None]) -> None:
        """Does what asks MLflow; where it is away, nothing, as everywhere in a run."""
        self._tracking._read(ask, default=None)

    def resolve(self, name: str) -> str:
        """The version's number of a name as `fetch` takes it.

        Raises:
            UserError: there is no such model, version or alias; those that there are are named.
        """
        return str(self._model_version(name).version)

    def full_name(self, name: str) -> str:
        """Such as headstart-digits/3.

        Raises:
            UserError: as `resolve`.
        """
        with self.answering():
            version = self._model_version(name)
            return f"{version.name}/{version.version}"

    def aliases(self, name: str) -> dict[str, str]:
        """The versions of a registered model by their aliases."""
        return {alias: str(version) for alias, version in self._client.get_registered_model(name).aliases.items()}

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Moves an alias to a version, wherever it was."""
        self._client.set_registered_model_alias(name, alias, version)

    def tags(self, name: str) -> dict[str, str]:
        """Tags of the registered model itself."""
        return dict(self._client.get_registered_model(name).tags)

    def set_tag(self, name: str, key: str, value: str) -> None:
        """Sets a tag of the registered model itself."""
        self._client.set_registered_model_tag(name, key, value)

    def describe(self, name: str, version: str, *, text: str = "", tags: Mapping[str, str] | None = None) -> None:
        """Gives a version its description, where there is one, and tags."""
        if text:
            self._client.update_model_version(name, version, description=text)
        for key, value in _card_tags(tags or {}).items():
            self._client.set_model_version_tag(name, version, key, value)

    def artifacts_of(self, name: str, path: str, scratch: Path) -> Path | None:
        """An artifact folder of the run that a version came from, copied to `scratch`; None where it has none."""
        run_id = self._model_version(name).run_id
        if not run_id or not any(item.path == path for item in self._client.list_artifacts(run_id)):
            return None
        return Path(self._client.download_artifacts(run_id, path, str(scratch)))

    def _register(self, run_id: str, name: str, model: dict[str, Any], card: Mapping[str, Any]) -> str:
        client = self._client
        if there := client.search_model_versions(f"name = {quoted(name)} and run_id = {quoted(run_id)}"):
            return str(there[0].version)
        logged = self._log_model(run_id, name, model)
        _create_registered_model(client, name)
        # The location, not models:/<id>: the registry resolves that one by the process's global tracking URI.
        version = client.create_model_version(
            name, source=logged.artifact_location, run_id=run_id, tags=_card_tags(card), model_id=logged.model_id
        )
        link = json.dumps([{"name": name, "version": version.version}])
        client.set_logged_model_tags(logged.model_id, {"mlflow.modelVersions": link})
        return str(version.version)

    def _fetch(self, name: str, scratch: Path) -> Path:
        from mlflow.artifacts import download_artifacts
        from mlflow.models import Model

        source = self._model_version(name).source
        # Where the artifacts are local they are read where they lie.
        target = None if source.startswith(("file:", "/")) else str(scratch)
        folder = Path(download_artifacts(artifact_uri=source, dst_path=target, tracking_uri=self._tracking.uri))
        about = Model.load(str(folder)).flavors.get("python_function", {})
        if about.get("loader_module") != LOADER:
            raise UserError(f"{name} is a model of MLflow's, but none that `headstart run` has registered")
        data = folder / str(about["data"])
        if not data.resolve().is_relative_to(folder.resolve()):
            raise UserError(
                f"{name} names {about['data']!r} as its data, which lies outside of the model; it is not read"
            )
        return data

    def _model_version(self, text: str) -> "ModelVersion":
        from mlflow.exceptions import MlflowException

        given = MODEL_NAME.fullmatch(text.removeprefix("models:/"))
        name = given["name"] if given else text
        versions = self._client.search_model_versions(f"name = {quoted(name)}") if given else []
        if not versions:
            there = [model.name for model in self._client.search_registered_models()]
            raise UserError(
                f"MLflow has no registered model {name!r} at {self._tracking.uri}; there is: "
                f"{', '.join(there) or 'none'}. Give "
                "models:/<name>/<version>, models:/<name>@<alias>, a name, or a model's directory"
            )
        newest = max(versions, key=lambda version: int(version.version))
        if given and given["alias"]:
            try:
                return self._client.get_model_version_by_alias(name, given["alias"])
            except MlflowException as error:
                if error.error_code not in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
                    raise
                aliases = self._client.get_registered_model(name).aliases
                raise UserError(
                    f"{name} has no alias {given['alias']!r}; there is: {', '.join(aliases) or 'none'}"
                ) from None
        if not given or given["version"] in (None, "latest"):
            return newest
        found = [version for version in versions if str(version.version) == given["version"]]
        if not found:
            numbers = ", ".join(sorted((str(version.version) for version in versions), key=int))
            raise UserError(f"{name} has no version {given['version']}; there is: {numbers}, latest")
        return found[0]

    def _log_model(self, run_id: str, name: str, model: dict[str, Any]) -> Any:
        import mlflow.pyfunc
        from mlflow.entities import LoggedModelOutput
        from mlflow.models import Model

        logged = self._client.create_logged_model(self._tracking._own_experiment(), name=name, source_run_id=run_id)
        about = Model(
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            run_id=run_id,
            model_id=logged.model_id,
        )
        with tempfile.TemporaryDirectory() as scratch:
            path = f"{scratch}/model"
            mlflow.pyfunc.save_model(path, mlflow_model=about, **model)
            self._client.log_model_artifacts(logged.model_id, path)
        self._client.finalize_logged_model(logged.model_id, "READY")
        self._client.log_outputs(run_id, [LoggedModelOutput(logged.model_id, step=0)])
        return logged


def _create_registered_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _tried_signature(model_dir: Path, example: "np.ndarray[Any, Any]", *, loader_module: str) -> Any:
    """The signature, with -1 for the batch, of a model that has just predicted on the example."""
    from mlflow.models import infer_signature

    types = {4: ("float32", "uint8"), 2: ("int32",)}.get(example.ndim, ())
    if len(example) < 2 or str(example.dtype) not in types:
        raise ValueError(
            f"input_example is {example.dtype} {example.shape}; it must be float32 or uint8 of shape "
            "(2 or more, height, width, channels), or int32 of shape (2 or more, length): a batch of one hides a model "
            "that takes only one"
        )
    predictions = importlib.import_module(loader_module)._load_pyfunc(str(model_dir)).predict(example)
    if len(predictions) != len(example):
        raise ValueError(f"{model_dir} gives {len(predictions)} predictions for {len(example)} rows")
    return infer_signature(example, predictions)


def _card_tags(card: Mapping[str, Any]) -> dict[str, str]:
    return {name_of(key): text_of(value)[:TAG_CHARACTERS] for key, value in card.items()}
