"""Arrays that are written row by row, as numpy would write them whole: memory does not grow with their rows."""

from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray


class ArrayWriter:
    """A .npy file of a shape that is known beforehand; its rows are appended in blocks. The bytes are np.save's."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype):
        self.rows = 0
        self._shape, self._dtype = shape, dtype
        self._file = path.open("wb")
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)

    def write(self, block: NDArray) -> None:  # type: ignore[type-arg]
        """Appends (rows, ...) of the shape and dtype that were said."""
        assert (block.shape[1:], block.dtype) == (self._shape[1:], self._dtype), (block.shape, block.dtype)
        if block.size:
            self._file.write(np.ascontiguousarray(block).data)
        self.rows += len(block)

    def __enter__(self) -> "ArrayWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        assert kind or self.rows == self._shape[0], f"{self.rows} of {self._shape[0]} rows were written"
