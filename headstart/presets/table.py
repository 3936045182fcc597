"""The presets: files beside this one, each with the settings that it has otherwise than the defaults.

The comment at a file's head is what the preset is for and what its run came to; it becomes the head of params.yaml.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from headstart.registry import Entry, Registry
from headstart.settings import Settings, text_of, validate

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Preset(Entry):
    """A preset; `target` is the name of its file, "" of the defaults."""

    @property
    def head(self) -> list[str]:
        """The lines of the comment at the file's head."""
        if not self.target:
            return []
        lines = (HERE / self.target).read_text(encoding="utf-8").splitlines()
        return [line.removeprefix("#").strip() for line in lines[: next(n for n, own in enumerate(lines) if not own)]]

    def settings(self) -> Settings:
        """All settings of it, the defaults' among them."""
        if not self.target:
            return Settings()
        given: Mapping[str, Any] = YAML(typ="safe").load(HERE / self.target)
        return validate(given, where=self.target)

    def text(self) -> str:
        """params.yaml as it is with the preset."""
        head = "".join(f"# {line}".rstrip() + "\n" for line in self.head)
        return f"{head}\n{text_of(self.settings())}" if head else text_of(self.settings())


PRESETS: Registry[Preset] = Registry(
    "preset",
    [
        Preset("default", "images: 5,000 MNIST digits to 1,797 others", ""),
        Preset("text", "texts: reviews of some films to reviews of others", "text.yaml"),
        Preset("audio", "sound: spoken words to other words by other voices", "audio.yaml"),
    ],
)
