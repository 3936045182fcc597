"""Datasets of torchvision.datasets, written as class folders. They come from the network: fetch alone calls this."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headstart.datasets.table import PREFIX, Torchvision
from headstart.errors import UserError
from headstart.storage.publish import replacing

PROGRESS_EVERY = 100  # images


def materialise_torchvision(
    entry: Torchvision, directory: Path, *, downloads: Path, progress: Callable[[int, int], None]
) -> int:
    """Writes a dataset to `directory`, as [<split>/]<class>/<number>.png; returns how many images that are.

    downloads: where torchvision keeps its own files; what lies there already is not downloaded again.

    Raises:
        UserError: it cannot be downloaded; the message says what to do without a network.
    """
    parts = [(f"{folder}/", {argument: value}) for folder, argument, value in entry.parts] or [("", {})]
    loaded = [(folder, _load(entry, directory, downloads, arguments)) for folder, arguments in parts]
    total = sum(len(images) for _, images in loaded)
    done = 0
    with replacing(directory) as draft:
        for folder, images in loaded:
            classes = [str(name) for name in getattr(images, "classes", [])]
            for number in range(len(images)):
                image, label = images[number]
                place = draft / folder / _folder_name(classes[label] if classes else str(label))
                place.mkdir(parents=True, exist_ok=True)
                image.save(place / f"{number:06d}.png")
                done += 1
                if done % PROGRESS_EVERY == 0 or done == total:
                    progress(done, total)
    return total


def _load(entry: Torchvision, directory: Path, downloads: Path, arguments: dict[str, Any]) -> Any:
    downloads.mkdir(parents=True, exist_ok=True)
    try:
        return entry.load()(root=str(downloads), download=True, **arguments)
    except (OSError, RuntimeError) as error:  # urllib's errors are OSErrors; torchvision's own are RuntimeErrors
        name = PREFIX + entry.target.split(":")[1]
        raise UserError(
            f"{name} cannot be fetched: {str(error).strip().splitlines()[-1]}. Without a network, put torchvision's "
            f"files of it into {downloads} (torchvision checks them and downloads nothing), or copy data/"
            f"{directory.name} from a project that has it and take {directory.name} out of built_in"
        ) from error


def _folder_name(label: str) -> str:
    """A class name that can be a folder's on every system."""
    return "".join("-" if character in '/\\:*?"<>|' else character for character in label).strip(". ") or "-"
