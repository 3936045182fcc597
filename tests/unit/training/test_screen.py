"""What a file of weights shows before it is loaded: torch's old format, whole or cut anywhere in its numbers."""

import io

import pytest
import torch

from headstart.errors import DataError
from headstart.training.screen import check_pickled

WEIGHTS = torch.arange(12.0).reshape(3, 4)
STATE = {
    "weight": WEIGHTS,
    "shared": WEIGHTS[:2],
    "steps": torch.zeros(5, dtype=torch.int64),
    "half": torch.zeros(7, dtype=torch.float16),
    "mask": torch.zeros(3, dtype=torch.bool),
    "bias": torch.nn.Parameter(torch.zeros(2)),
    "nested": {"rows": [torch.ones(1, dtype=torch.float64)]},
}


def old_format(protocol: int) -> bytes:
    file = io.BytesIO()
    torch.save(STATE, file, _use_new_zipfile_serialization=False, pickle_protocol=protocol)
    return file.getvalue()


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_the_old_format_is_taken_whole_and_refused_with_a_byte_less(protocol, tmp_path):
    path = tmp_path / "mine.pth"
    content = old_format(protocol)
    path.write_bytes(content)
    check_pickled(path)
    for cut in (1, 8, 100, len(content) // 2):
        path.write_bytes(content[:-cut])
        with pytest.raises(DataError, match="not a whole file of torch.save"):
            check_pickled(path)
