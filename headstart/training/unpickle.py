"""Reads a pickled file of weights in a process of its own: `python -m headstart.training.unpickle FILE OUT`.

Only tensors are loaded (weights_only), and whatever a crafted file does to this process, the run survives it.
"""

import sys

WRAPPERS = ("state_dict", "model_state_dict", "model", "network", "module", "model_ema", "ema", "teacher", "weights")


def main(path: str, out: str) -> int:
    import torch
    from safetensors.torch import save_file

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever the file holds, it is said in one line
        print(" ".join(str(error).split())[:300])
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


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
