"""The error tree: every message says what was given, what is allowed and what to do next.

HeadstartError              anything of ours; exit code 1
|- UserError                the user's input or settings; exit code 2
|  |- SettingsError         a key, type or range in params.yaml or a flag
|  `- DataError             a file, row or folder of a dataset
|- OutOfMemoryError         a training does not fit into the memory of its device; exit code 1
|- NotFiniteError           the loss of a training became infinite or not a number; exit code 1
|- BusyError                another run holds what is needed; exit code 3
|- StorageError             the disk is full, read-only or failing; exit code 1
`- IntegrityError           a file of ours is not what its manifest says; exit code 1
"""

from reprlib import Repr

MOST_SAID = 100  # characters of what was given that a message repeats


def shown(value: object) -> str:
    """What was given, as a message repeats it: cut short, for lists in lists are a few bytes and a billion words."""
    how = Repr()
    how.maxlevel, how.maxlist, how.maxtuple, how.maxstring, how.maxother = 3, 8, 8, MOST_SAID, MOST_SAID
    return how.repr(value)[: 2 * MOST_SAID]


class HeadstartError(Exception):
    """Base of all errors that Headstart raises on purpose."""

    exit_code = 1


class UserError(HeadstartError):
    """Something that the user gave cannot be used as it is."""

    exit_code = 2


class SettingsError(UserError):
    """A setting is unknown, of the wrong type or out of range."""


class DataError(UserError):
    """A dataset, or a row of it, cannot be used as it is."""


class OutOfMemoryError(HeadstartError):
    """A training over several devices does not fit into the memory of one of them as it is.

    pieces: that its steps are to be done in.
    """

    def __init__(self, message: str, pieces: int):
        super().__init__(message, pieces)
        self.message, self.pieces = message, pieces

    def __str__(self) -> str:
        return self.message


class NotFiniteError(HeadstartError):
    """The loss of a training became infinite, or not a number."""


class BusyError(HeadstartError):
    """Another run holds what this one needs."""

    exit_code = 3


class StorageError(HeadstartError):
    """The disk is full, read-only or failing; what was there before is as it was."""


class IntegrityError(HeadstartError):
    """A published file is missing, altered or half-written."""
