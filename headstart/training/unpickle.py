"""Reads a pickled file of weights in a process of its own: `python -m headstart.training.unpickle FILE OUT`.

Only tensors are loaded (weights_only), and whatever a crafted file does to this process, the run survives it.
"""

import re
import sys

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "module", "model_ema", "ema", "teacher", "weights")


def main(path: str, out: str) -> int:
    import torch
    from safetensors.torch import save_file

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the file holds, it is said in one line
        print(_cause(error))
        return 2
    for _ in range(3):
        inner = next((content[key] for key in WRAPPERS if isinstance(content, dict) and key in content), None)
        if not isinstance(inner, dict):
            break
        content = inner
    tensors = {
        str(key): value.detach().clone().contiguous()
        for key, value in (content.items() if isinstance(content, dict) else ())
        if isinstance(value, torch.Tensor) and not value.is_sparse
    }
    if not tensors:
        print("it holds no named tensors; save model.state_dict()")
        return 2
    save_file(tensors, out)
    return 0


def _cause(error: Exception) -> str:
    """What is wrong with the file, without torch's colours and its advice to load the file in a less safe way."""
    text = " ".join(re.sub(r"\x1b\[[0-9;]*m", "", str(error)).split())
    _, refused, what = text.partition("Unsupported global: GLOBAL ")
    if refused:
        return f"it holds {what.split()[0]}"
    return "it is not a whole file of torch.save" if isinstance(error, KeyError | EOFError) else text.partition(". ")[0]


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
