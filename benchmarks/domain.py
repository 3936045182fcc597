"""Out of domain: how many test rows a project's delivered models flag, and how many images that are clearly others.

    python -m benchmarks.domain          # in a project after `headstart run`; prints a table for docs/howto/predict.md

Test rows are the target's own, of which a model may flag 5% (headstart/prediction/domain.py). The others: uniform
noise, 200 random crops of scikit-learn's two sample photos, the small letters of the built-in glyphs, the test rows in
negative and upside down, and the first source's rows.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from headstart.datasets.glyphs import glyphs
from headstart.datasets.pack import TEST, Pack
from headstart.modalities.image.modality import fit
from headstart.prediction.model import Model, load
from tasks.workspace import Workspace, here

CROPS = 100  # of each photo
MOST = 600


def main() -> None:
    """Prints a row a delivered model."""
    workspace = here()
    images = kinds(workspace)
    print("| model | " + " | ".join(images) + " |")
    print("|---|" + "---|" * len(images))
    for directory in sorted(workspace.model("any").parent.glob("[!.]*")):
        model = load(directory)
        print(f"| `{directory.name}` | " + " | ".join(f"{share:.1%}" for share in flagged(model, images)) + " |")


def flagged(model: Model, images: Mapping[str, NDArray[np.uint8]]) -> list[float]:
    """Share of each kind's images that are out of the model's domain."""
    return [float(model.predict(rows)["out_of_domain"].mean()) for rows in images.values()]


def kinds(workspace: Workspace) -> dict[str, NDArray[np.uint8]]:
    """Images of each kind, (rows, channels, side, side), as the target's are; the target's test rows first."""
    settings = workspace.settings()
    pack = Pack(workspace.pack(settings.target.data))
    size, channels = pack.card.size[0], pack.card.channels
    draw = np.random.default_rng(0)
    test = pack.inputs[pack.rows(TEST)[:MOST]]
    source = Pack(workspace.pack(settings.source.data[0]))
    letters = [planes(Image.fromarray(pixels), size, channels) for pixels in glyphs()[0][:MOST]]
    return {
        "test rows": test,
        "noise": draw.integers(0, 256, (300, channels, size, size), dtype=np.uint8),
        "photos": np.stack([planes(crop, size, channels) for crop in crops(draw)]),
        "letters": np.stack(letters),
        "negatives": 255 - test,
        "upside down": np.ascontiguousarray(test[:, :, ::-1]),
        settings.source.data[0]: source.inputs[: min(MOST, source.inputs.shape[0])],
    }


def crops(draw: np.random.Generator) -> list[Image.Image]:
    """Square pieces of 60 to 400 pixels of scikit-learn's sample photos."""
    from sklearn.datasets import load_sample_images

    found = []
    for pixels in load_sample_images().images:
        photo = Image.fromarray(pixels)
        for _ in range(CROPS):
            side = int(draw.integers(60, 400))
            left, top = (int(draw.integers(0, most - side)) for most in photo.size)
            found.append(photo.crop((left, top, left + side, top + side)))
    return found


def planes(image: Image.Image, size: int, channels: int) -> NDArray[np.uint8]:
    """As ingest makes it: (channels, size, size)."""
    return np.ascontiguousarray(fit(image, size=size, channels=channels).transpose(2, 0, 1))


if __name__ == "__main__":
    main()
