"""Fixtures of tests/pipeline.py for the tests of this folder."""

from pipeline import in_project, open_warm, run_warm

__all__ = ["in_project", "open_warm", "run_warm"]
