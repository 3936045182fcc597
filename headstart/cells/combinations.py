"""Which strategies have a meaning for a target and its sources: asked before anything is trained. Torch-free."""

from collections.abc import Mapping, Sequence

from headstart.datasets.pack import Card
from headstart.datasets.settings import SIGNATURES
from headstart.datasets.values import all_match, in_words
from headstart.errors import SettingsError
from headstart.modalities.table import MODALITIES
from headstart.objectives.kinds import KINDS
from headstart.registry import nearest
from headstart.settings import Settings
from headstart.strategies.table import STRATEGIES

FEWEST_SEEN = 3  # classes with labels: each is left out in turn, and what is left is told apart


def sources_of(settings: Settings, strategy: str) -> tuple[str, ...]:
    """The sources that a strategy enters from: one where it reads nothing of W and all are the same."""
    return settings.entering if STRATEGIES.get(strategy).reads else settings.entering[:1]


def check_combinations(
    target: Card, sources: Mapping[str, Card], settings: Settings, strategies: Sequence[str]
) -> None:
    """Refuses strategies that have no meaning for this target and the sources they enter from.

    sources: by name; one that is not known yet is passed over.

    Raises:
        SettingsError: the first of them, or of the classes to do without, and why.
    """
    check_unseen(target, settings.target.unseen)
    for name in strategies:
        known = {source: sources[source] for source in sources_of(settings, name) if source in sources}
        check_combination(name, target, known, settings.target.unseen)


def check_combination(name: str, target: Card, sources: Mapping[str, Card], unseen: Sequence[str] = ()) -> None:
    """Refuses a strategy that the target's kind, or a source that is weights alone, leaves without a meaning.

    sources: by name, of all that it enters from. unseen: the target's classes that are to be done without.

    Raises:
        SettingsError: why, and what to do.
    """
    if why := meaningless(name, target, sources, unseen):
        raise SettingsError(f"{name} {why}; take {name} out of finetune.strategies")


def meaningless(name: str, target: Card, sources: Mapping[str, Card], unseen: Sequence[str] = ()) -> str:
    """Why a strategy has no meaning for a target from one of these sources; empty where it has one from all."""
    found = [_why_not_kind(name, target), *(_why_not(name, target, source, card) for source, card in sources.items())]
    if STRATEGIES.get(name).needs_unseen:
        found.append(_why_not_unseen(target, unseen))
    return next((why for why in found if why), "")


def _why_not_kind(name: str, target: Card) -> str:
    """Why a strategy has no meaning for the target's kind, whatever the source; empty where it has one."""
    entry = STRATEGIES.get(name)
    if not entry.takes(target.modality):
        many = " and ".join(MODALITIES.get(modality).many for modality in entry.modalities)
        return f"is for {many}, and {target.name} has {target.row_kind.many}"
    if target.kind in entry.kinds:
        return ""
    return f"is for {' and '.join(KINDS[kind].targets for kind in entry.kinds)}, and {target.name} has " + (
        KINDS[target.kind].targets
    )


def _why_not(name: str, target: Card, source: str, card: Card) -> str:
    """Why a strategy has no meaning from this source; empty where it has one."""
    entry = STRATEGIES.get(name)
    if "rows" in entry.reads and not sum(card.splits.values()):
        return f"learns from the source's rows, and {source} is weights without any"
    if entry.needs_head and not card.classes:
        return f"needs W's own classes, and {source} has none that are known"
    if entry.needs_attributes and card.kind != "attribute":
        return (
            f"needs a source whose rows have attributes, and those of {source} have {KINDS[card.kind].targets}: its "
            "table has neither classes nor values then, and data.attribute_columns names the attributes"
        )
    if entry.needs_shared and target.kind == "class" and not set(target.classes) & set(card.classes):
        return f"needs classes that both have, and {source} and {target.name} share no name of one"
    if entry.needs_shared and target.kind == "value" and not all_match(target.values, card.values):
        units = f"{source} ({_unit(card)}) and {target.name} ({_unit(target)})"
        if max(len(target.values), len(card.values)) > 1:
            return (
                f"needs each of the target's values in the source, by its name and a named unit, and those of {units} "
                "are not (data.value_columns, source.unit, target.unit)"
            )
        return f"needs values of one named unit in both, and those of {units} are not (source.unit, target.unit)"
    return ""


def check_unseen(target: Card, unseen: Sequence[str]) -> None:
    """Refuses classes to do without that the target has not.

    Raises:
        SettingsError: the first of them, and the nearest names.
    """
    for name in unseen:
        if name not in target.classes:
            what = nearest(name, list(target.classes)) if target.classes else "it has values"
            raise SettingsError(
                f"target.unseen names {name!r}, which is no class of {target.name}; {what} "
                '(--target.unseen "" names none)'
            )


def _why_not_unseen(target: Card, unseen: Sequence[str]) -> str:
    """Why no class of the target can be done without; empty where some can."""
    if not target.signatures:
        return (
            f"needs to know what the classes of {target.name} are like: a {SIGNATURES} in its folder, one row a class"
        )
    if not unseen:
        return "needs classes to do without, and target.unseen names none: --target.unseen A,B"
    seen = set(target.classes) - set(unseen)
    if len(seen) < FEWEST_SEEN:
        return f"needs {FEWEST_SEEN} classes with labels or more, and target.unseen leaves {len(seen)}"
    return ""


def _unit(card: Card) -> str:
    return in_words(card.values) or "no unit" if card.kind == "value" else KINDS[card.kind].targets
