"""quality: labels that may be wrong, how even classes are, and how far the sources lie; nothing is changed."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pandas as pd

from headstart.datasets.pack import TEST, Pack
from headstart.datasets.values import said
from headstart.evaluation.label_errors import Doubts, doubtful_classes, doubtful_values
from headstart.evaluation.quality import SUSPECTS, Balance, Quality, Shift, Suspect, apart, lines
from headstart.evaluation.shift import draw_rows, told_apart
from headstart.features.files import POOLED
from headstart.storage.publish import verify, write_json
from tasks.step import Context, Outcome

MOST_LABELLED = 10_000  # rows whose labels are looked at


def quality(context: Context) -> Outcome:
    """Publishes reports/quality.json. Rows of a test set are not looked at; in cross-validation there is none."""
    workspace, settings = context.workspace, context.settings
    pack = Pack(workspace.pack(settings.target.data))
    outside = np.flatnonzero((pack.examples["split"] != TEST).to_numpy())
    folders = {source: workspace.features(source, settings.target.data) for source in settings.source.data}
    for folder in folders.values():
        verify(folder)
    vectors = [np.load(folder / POOLED, mmap_mode="r") for folder in folders.values()]
    labelled, doubts = _doubts(pack, outside, vectors, seed=settings.seed)
    shifts = [_shift(context, source, pack, outside) for source in settings.source.data]
    found = Quality(
        kind=pack.card.kind,
        labelled=len(labelled),
        wrong=None if doubts is None else int(doubts.wrong.sum()),
        suspects=() if doubts is None else _suspects(pack, labelled, doubts),
        balance=_balance(pack, outside),
        shifts=tuple(shift for shift in shifts if shift),
        rejected=sum(pack.card.rejected.values()),
        duplicates=pack.card.duplicates,
        near_duplicates=pack.card.near_duplicates,
    )
    write_json(workspace.quality, found.model_dump(mode="json"))
    told = [*lines(found), apart(found)]
    return Outcome(
        "; ".join(line for line in told if line) or "nothing that someone should look at",
        metrics={"suspected_labels": found.wrong or 0} | {f"auc.{shift.source}": shift.auc for shift in found.shifts},
        artifacts=(workspace.quality,),
        datasets=(settings.target.data,),
    )


def _doubts(
    pack: Pack, outside: np.ndarray, vectors: Sequence[np.ndarray], *, seed: int
) -> tuple[np.ndarray, Doubts | None]:
    """Rows with labels, and what the others say of these; the sources' vectors side by side."""
    if pack.card.kind not in ("class", "value"):
        return outside[:0], None
    labelled = outside[_given(pack, outside).notna().all(axis=1).to_numpy()]
    if len(labelled) > MOST_LABELLED:
        labelled = np.sort(np.random.default_rng([seed, 4]).permutation(labelled)[:MOST_LABELLED])
    seen = np.concatenate([found[labelled] for found in vectors], axis=1)
    given = _given(pack, labelled)
    if pack.card.kind == "value":
        return labelled, doubtful_values(seen, given.to_numpy(dtype=np.float64), seed=seed)
    numbers = {name: number for number, name in enumerate(pack.card.classes)}
    return labelled, doubtful_classes(seen, given.iloc[:, 0].map(numbers).to_numpy(dtype=np.intp), seed=seed)


def _suspects(pack: Pack, labelled: np.ndarray, doubts: Doubts) -> tuple[Suspect, ...]:
    order = np.argsort(doubts.margins, kind="stable")
    order = order[doubts.wrong[order]][:SUSPECTS]
    given = _given(pack, labelled[order]).to_numpy()
    ids = pack.ids(labelled[order])
    return tuple(
        Suspect(id=row, given=_said(own, pack), likely=_said(likely, pack), margin=margin)
        for row, own, likely, margin in zip(ids, given, doubts.likely[order], doubts.margins[order], strict=True)
    )


def _given(pack: Pack, rows: np.ndarray) -> pd.DataFrame:
    """What rows were given: a class, a value, or several."""
    return pack.examples[[own.given for own in pack.card.targets]].iloc[rows]


def _said(label: np.ndarray, pack: Pack) -> str:
    """A class by its name or number, values with their units. label: what was given, or is likely, of one row."""
    own = np.atleast_1d(label)
    if pack.card.kind == "value":
        return said(own.astype(float).tolist(), pack.card.values)
    return own[0] if isinstance(own[0], str) else pack.card.classes[int(own[0])]


def _balance(pack: Pack, outside: np.ndarray) -> Balance | None:
    if pack.card.kind != "class":
        return None
    counts = Counter(pack.examples["label"].iloc[outside].dropna())
    order = sorted(counts.items(), key=lambda item: (item[1], item[0]))
    shares = np.array([count for _, count in order]) / sum(counts.values())
    return Balance(smallest=order[0], largest=order[-1], effective=float(np.exp(-(shares * np.log(shares)).sum())))


def _shift(context: Context, source: str, target: Pack, outside: np.ndarray) -> Shift | None:
    """None of a source that is weights alone, and of one with a row."""
    workspace, settings = context.workspace, context.settings
    pack = Pack(workspace.pack(source))
    folder = workspace.features(source, source)
    if len(pack.examples) < 4 or not (folder / POOLED).is_file():
        return None
    verify(folder)
    ours = draw_rows(len(pack.examples), seed=settings.seed)
    theirs = outside[draw_rows(len(outside), seed=settings.seed)]
    auc, low, high = told_apart(
        np.load(folder / POOLED, mmap_mode="r")[ours],
        np.load(workspace.features(source, settings.target.data) / POOLED, mmap_mode="r")[theirs],
        seed=settings.seed,
        confidence=settings.evaluate.confidence,
    )
    modality = target.card.row_kind.load()
    own, other = modality.traits(pack.inputs[ours]), modality.traits(target.inputs[theirs])
    return Shift(
        source=source,
        auc=auc,
        low=low,
        high=high,
        traits={name: (own[name], other[name]) for name in own},
    )
