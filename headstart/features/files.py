"""Names of the files in features/<source>/<dataset>/ (see extract.py for what they hold)."""

POOLED = "pooled.npy"
BOUNDARY = "boundary.npy"
VIEWS = "views.npy"
PACKS = "packs.json"  # in features/ itself
