"""What a device is good for: precision, compiling, where images lie. A pure function of what it says of itself.

A CPU trains in float32, nothing compiled, rows prepared where they are; but a network that is large enough, and of
plain convolutions, in bfloat16 where the CPU multiplies it in hardware (measured: docs/decisions/015).
"""

from dataclasses import dataclass, field

from headstart.training.settings import Precision

BFLOAT16 = (8, 0)  # compute capability from which CUDA has bfloat16 and TF32 in hardware (Ampere)
COMPILE_STEPS = 2000  # from which compiling, about a minute, is earned back
LARGE = 2e8  # FLOPs of an image forward, from which bfloat16 pays on a CPU
BUSY = 20.0  # FLOPs a weight, likewise: below it the time goes into moving weights, which are rounded at each step
RESIDENT = 1 / 4  # of a device's free memory that a pack may take up; the rest is for activations


@dataclass(frozen=True)
class Properties:
    """A device. kind: "cuda", "mps" or "cpu". capability: of CUDA. free_bytes: of its own memory, 0 where not known.

    bfloat16: whether a CPU has instructions for products of it.
    """

    kind: str
    name: str = ""
    capability: tuple[int, int] = (0, 0)
    free_bytes: int = 0
    bfloat16: bool = False


@dataclass(frozen=True)
class Work:
    """What a network asks for. flops: of one image, forward. weights: how many. grouped: has grouped convolutions."""

    flops: float = 0.0
    weights: int = 0
    grouped: bool = False


@dataclass(frozen=True)
class Policy:
    """How a training uses its device.

    autocast: the type that blocks are run in, "" for float32; weights, heads and losses are float32 always. tf32:
    whether float32 products are rounded to TF32. compiler: torch.compile's backend, "" where nothing is compiled.
    on_device: images go there as bytes, and are normalised and augmented there. resident: all of them at once,
    beforehand. shrinks: whether a step that does not fit into memory is done in pieces.
    """

    autocast: str = ""
    tf32: bool = False
    compiler: str = ""
    on_device: bool = False
    resident: bool = False
    shrinks: bool = False
    device: Properties = field(default=Properties("cpu"), compare=False)

    def __str__(self) -> str:
        """In words, for the log: "bfloat16 over float32 weights, TF32, rows kept on the device, not compiled"."""
        precision = f"{self.autocast} over float32 weights" if self.autocast else "float32"
        images = "rows kept on the device" if self.resident else "rows sent to the device as they are stored"
        return ", ".join(
            [
                precision,
                *(["TF32 products"] if self.tf32 else []),
                images if self.on_device else "rows prepared on the CPU",
                f"compiled ({self.compiler})" if self.compiler else "not compiled",
            ]
        )


NO_WORK = Work()


def pays_in_bfloat16(device: Properties, work: Work) -> bool:
    """Whether a CPU runs a network faster in bfloat16: 1.3 to 1.8 times, where it does.

    Grouped convolutions (MobileNet's, ShuffleNet's) were measured to train at half the speed in it.
    """
    return device.bfloat16 and not work.grouped and work.flops >= max(LARGE, BUSY * work.weights)


def policy_of(
    device: Properties,
    *,
    steps: int,
    input_bytes: int,
    processes: int = 1,
    thaws: bool = False,
    work: Work = NO_WORK,
    precision: Precision = "auto",
) -> Policy:
    """The policy for a training.

    steps: its length. input_bytes: of all its images, 0 where it has none. thaws: whether it runs another part of the
    network from time to time, each of which would be compiled. work: of the network. precision: "float32" has nothing
    rounded, whatever the device. float16 would need its losses scaled, so a device that
    has no bfloat16 (a T4) trains in float32; so does MPS, for which torch's bfloat16 was not measured here.
    """
    if device.kind != "cuda":
        rounded = precision == "auto" and pays_in_bfloat16(device, work)
        return Policy(autocast="bfloat16" if rounded else "", device=device)
    modern = device.capability >= BFLOAT16
    rounded = modern and precision == "auto"
    return Policy(
        autocast="bfloat16" if rounded else "",
        tf32=rounded,
        compiler="inductor" if modern and steps >= COMPILE_STEPS and processes == 1 and not thaws else "",
        on_device=input_bytes > 0,
        resident=0 < input_bytes <= device.free_bytes * RESIDENT,
        shrinks=True,
        device=device,
    )


def properties_of(device: str) -> Properties:
    """What torch says of a device: "cpu", "mps" or "cuda:<number>"."""
    import torch

    kind = device.partition(":")[0]
    if kind == "cpu":
        able = torch.cpu.get_capabilities()
        return Properties(kind, bfloat16=bool(able.get("avx512_bf16") or able.get("amx_bf16")))
    if kind != "cuda":
        return Properties(kind)
    free, _ = torch.cuda.mem_get_info(device)
    return Properties(kind, torch.cuda.get_device_name(device), torch.cuda.get_device_capability(device), free)
