"""Flags for targets whose value augmentation would change: an angle, a place."""

STILL = [
    f"--{name}.augment=false"
    for name in ("pretrain", *(f"strategies.{s}" for s in ("scratch", "frozen_blocks", "full", "lp_ft")))
]
