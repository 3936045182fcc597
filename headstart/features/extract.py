"""Extraction: what W computes of source and target, written once and read by every strategy that needs it.

features/<source>/<dataset>/   pooled.npy (rows, d) float32, in the order of the pack's examples
of the target also             boundary.npy (rows, ...), views.npy (pool rows, views, ...): activations after the
                               first `boundary` blocks, unless they would take more than extract.activations_gb
features/<strategy>.reads.json  digests of what each strategy reads, by source
features/packs.json            digests of the packs that the features are of
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from headstart.backbones.network import Network
from headstart.datasets.pack import POOL, Pack, pack_digest
from headstart.errors import SettingsError
from headstart.features.boundary import Run, boundary_of
from headstart.features.files import BOUNDARY, POOLED, VIEWS
from headstart.features.pooled import pooled
from headstart.features.settings import ExtractSettings
from headstart.storage.arrays import ArrayWriter
from headstart.storage.publish import digest, publishing, sha256
from headstart.strategies.table import STRATEGIES
from headstart.training.accelerator import Accelerator, generator
from headstart.training.flops import work_of
from headstart.training.policy import Work
from headstart.training.rows import InputRows
from headstart.training.weights import read_network, weights_digest

BATCH = 256
POOLED_BATCH = 64  # on a CPU a tenth faster than 256: the maps stay in its cache

Progress = Callable[[int, int], None]


def extract(
    source: Pack,
    target: Pack,
    *,
    weights: Path,
    directories: tuple[Path, Path],
    settings: ExtractSettings,
    boundary: int,
    seed: int,
    accelerator: Accelerator,
    progress: Progress,
) -> dict[str, str]:
    """Writes the features of source and target under W to `directories`, in that order.

    Returns the digests of what may be read of a source: W's weights, its features, the target's, and its rows.

    Raises:
        SettingsError: the boundary lies outside the network.
    """
    card, network = read_network(weights)
    check_boundary(boundary, network)
    accelerator.prepare(network).eval()
    work = work_of(card.backbone, channels=card.channels, size=card.size)
    rows = InputRows(target.inputs, card.normalisation, target.card.modality)
    pool = torch.from_numpy(target.rows(POOL))
    run = boundary_of(network, boundary, accelerator=accelerator, work=work)
    each = run(rows.plain(torch.arange(1))).nbytes
    kept = each * (len(rows) + settings.views * len(pool)) <= settings.activations_gb * 1e9
    total = len(source.examples) + len(target.examples) + settings.views * len(pool) * kept
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        progress(done, total)

    def pool_features(path: Path, rows: InputRows) -> None:
        write_pooled(path, network, rows, levels=settings.levels, accelerator=accelerator, advance=advance, work=work)

    with publishing(directories[0]) as draft:
        pool_features(draft / POOLED, InputRows(source.inputs, card.normalisation, source.card.modality))
    with publishing(directories[1]) as draft:
        pool_features(draft / POOLED, rows)
        if kept:
            write_boundary(draft, run, rows, pool, views=settings.views, seed=seed, advance=advance)
    read = {"weights": weights_digest(weights), "source": sha256(directories[0] / POOLED)}
    own = {POOLED: sha256(directories[1] / POOLED)}
    for name in (BOUNDARY, VIEWS):  # where they are not kept, what they would follow from
        path = directories[1] / name
        own[name] = sha256(path) if kept else digest([read["weights"], boundary, settings.views, accelerator.precision])
    return read | own | {"rows": pack_digest(source.directory)}


def check_boundary(boundary: int, network: Network) -> None:
    """Refuses a number of fixed blocks that leaves nothing to train, or is not there.

    Raises:
        SettingsError: it is not between 1 and one less than the number of blocks.
    """
    last = len(network.blocks) - 1
    if not 1 <= boundary <= last:
        raise SettingsError(
            f"strategies.frozen_blocks.fixed_blocks is {boundary}, but this backbone's blocks are "
            f"{', '.join(network.block_names)}: set it from 1 to {last}"
        )


@torch.inference_mode()
def write_pooled(
    path: Path,
    network: Network,
    rows: InputRows,
    *,
    levels: int,
    accelerator: Accelerator,
    advance: Callable[[int], None],
    work: Work,
) -> None:
    """Pooled features of all rows as they are, (rows, d) float32. work: of the network, on one row."""
    network, precision = accelerator.evaluating(network, work)

    def run(part: Tensor) -> np.ndarray:
        with precision:
            return pooled(network, accelerator.place(rows.plain(part)), boundary=0, levels=levels).cpu().numpy()

    _write(path, run, len(rows), POOLED_BATCH, advance=advance)


@torch.inference_mode()
def write_boundary(
    draft: Path,
    run: Run,
    rows: InputRows,
    pool: Tensor,
    *,
    views: int,
    seed: int,
    advance: Callable[[int], None],
) -> None:
    """All rows as they are, and those of the pool, whose labels may be drawn, in `views` augmented versions too.

    run: see `boundary_of`.
    """
    _write(draft / BOUNDARY, lambda part: run(rows.plain(part)), len(rows), BATCH)

    def augmented(part: Tensor) -> np.ndarray:
        number = int(part[0]) // BATCH
        seen = [run(rows.batch(pool[part], generator(seed, "view", view, number))) for view in range(views)]
        advance(len(part) * views)
        return np.stack(seen, axis=1)

    _write(draft / VIEWS, augmented, len(pool), BATCH)


def _write(
    path: Path,
    run: Callable[[Tensor], np.ndarray],
    rows: int,
    batch: int,
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> None:
    """Writes what `run` makes of each batch of row numbers, one after the other: memory does not grow with the rows."""
    parts = torch.split(torch.arange(rows), batch)
    first = run(parts[0])
    with ArrayWriter(path, (rows, *first.shape[1:]), first.dtype) as writer:
        for part in parts:
            writer.write(run(part) if writer.rows else first)
            advance(len(part))


def reads_of(digests: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, dict[str, str]]]:
    """What each strategy reads, by source: DVC depends on a file of that, and on nothing else of W.

    digests: of each source, as `extract` returns them. A strategy that reads nothing of W has no sources.
    """
    wanted = {
        "weights": ("weights",),
        "pooled": ("source", POOLED),
        "boundary": (BOUNDARY, VIEWS),
        "rows": ("rows",),
    }
    found = {}
    for strategy in STRATEGIES:
        names = sorted(name for read in strategy.reads for name in wanted[read])
        sources = digests if names else {}
        found[strategy.name] = {source: {name: own[name] for name in names} for source, own in sources.items()}
    return found
