"""What is sent to a run: each kind of write, and keys and values as MLflow takes them."""

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

log = logging.getLogger(__name__)

TAGS_PER_BATCH = 100  # MLflow's limits, here and below
KEY_CHARACTERS = 250
PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
DIGEST_CHARACTERS = 36  # just holds DVC's md5 with .dir


def _send_metrics(client: "MlflowClient", run_id: str, points: Sequence[Sequence[Any]]) -> None:
    from mlflow.entities import Metric

    client.log_batch(run_id, metrics=[Metric(*point) for point in points])


def _send_params(client: "MlflowClient", run_id: str, params: Mapping[str, str]) -> None:
    from mlflow.entities import Param

    there = client.get_run(run_id).data.params
    if changed := sorted(key for key in params if there.get(key, params[key]) != params[key]):
        log.warning("MLflow run %s keeps its first values of %s", run_id, ", ".join(changed))
    new = [Param(key, value) for key, value in params.items() if key not in there]
    for start in range(0, len(new), TAGS_PER_BATCH):
        client.log_batch(run_id, params=new[start : start + TAGS_PER_BATCH])


def send_tags(client: "MlflowClient", run_id: str, tags: Mapping[str, str]) -> None:
    from mlflow.entities import RunTag

    all_tags = [RunTag(key, value) for key, value in tags.items()]
    for start in range(0, len(all_tags), TAGS_PER_BATCH):
        client.log_batch(run_id, tags=all_tags[start : start + TAGS_PER_BATCH])


def _send_dataset(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        payload["name"],
        payload["digest"][:DIGEST_CHARACTERS],
        source_type="local",
        source=json.dumps({"uri": payload["source"]}),
        profile=json.dumps({"num_rows": payload["rows"]}),
    )
    tags = [InputTag("mlflow.data.context", payload["context"])] if payload["context"] else []
    client.log_inputs(run_id, [DatasetInput(dataset, tags)])


def _send_artifacts(client: "MlflowClient", run_id: str, payload: Mapping[str, Any]) -> None:
    send = client.log_artifacts if Path(payload["path"]).is_dir() else client.log_artifact
    send(run_id, payload["path"], payload["artifact_path"])


def _send_end(client: "MlflowClient", run_id: str, payload: Mapping[str, str]) -> None:
    client.set_terminated(run_id, payload["status"])


OPERATIONS: dict[str, Callable[["MlflowClient", str, Any], None]] = {
    "metrics": _send_metrics,
    "params": _send_params,
    "tags": send_tags,
    "dataset": _send_dataset,
    "artifacts": _send_artifacts,
    "end": _send_end,
}


def flat(params: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in params.items():
        if isinstance(value, Mapping) and value:
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[name_of(f"{prefix}{key}")] = _shortened(text_of(value))
    return found


def _shortened(text: str) -> str:
    return text if len(text) <= PARAM_CHARACTERS else text[: PARAM_CHARACTERS - 1] + "…"


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=str)


def name_of(key: str) -> str:
    """A key that MLflow takes: finetune@full becomes finetune/full, other signs that it refuses an underscore."""
    return re.sub(r"[^\w\-. :/]", "_", key.replace("@", "/"))[:KEY_CHARACTERS]


def quoted(value: str) -> str:
    if "'" in value and '"' in value:
        raise ValueError(f"{value!r} holds both kinds of quotes: MLflow cannot search for it")
    return f'"{value}"' if "'" in value else f"'{value}'"
