"""Networks of the timm library as ordered blocks: the one file that knows timm. `timm:NAME` is NAME of its list.

A network is cut where timm's own feature_info says that a stage ends. The order of what lies between the cuts is read
off a run of its forward on meta tensors, which costs no arithmetic: each module must take in just what the one before
it gave. Only before the first cut may something else happen (class token, positions), and after the last module,
where timm's own forward_head is asked. A network that is made otherwise is refused.
"""

import copy
import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

import torch
from torch import Tensor, nn
from torchvision.ops import Permute

from headstart.backbones.network import Network
from headstart.errors import SettingsError

CHANNELS_FIRST = [0, 3, 1, 2]
CHANNELS_LAST = [0, 2, 3, 1]


def timm_model(name: str, *, channels: int, classes: int) -> Network:
    """timm:NAME with fresh weights; nothing is downloaded.

    Raises:
        SettingsError: timm has no such network, or its blocks cannot be ordered.
    """
    model = name.removeprefix("timm:")
    _check_name(model)
    return _assemble(_create(model, in_chans=channels, num_classes=classes), _order(model))


def native_size(name: str) -> int:
    """Side of the images that timm:NAME was made for, pixels."""
    from timm.models import get_pretrained_cfg_value

    return int((get_pretrained_cfg_value(name.removeprefix("timm:"), "input_size") or (3, 224, 224))[1])


@dataclass(frozen=True)
class Stage:
    """Modules from one cut to the next, by path. channels_last: whether it ends in (batch, h, w, channels)."""

    name: str
    paths: tuple[str, ...]
    channels_last: bool


@dataclass(frozen=True)
class Order:
    """Stages in order; whether the first is timm's own forward_features of what comes before the first cut."""

    stages: tuple[Stage, ...]
    embeds: bool


@dataclass
class Call:
    """One module at work, with the versions of its tensors: a tensor changed in place is not the same."""

    path: str
    taken: Any
    taken_version: int = 0
    given: Any = None
    given_version: int = 0


def _check_name(model: str) -> None:
    import timm

    known = timm.list_models()
    if model not in known:
        close = difflib.get_close_matches(model, known, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(f'timm:{name}' for name in close)}?" if close else "see timm.list_models()"
        raise SettingsError(f"timm has no network {model!r} (names are without the tag of pretrained weights); {hint}")


def _create(model: str, **options: Any) -> Any:
    import timm

    return timm.create_model(model, pretrained=False, **options)


class _Refused(Exception):
    """What is in the way of putting a network's blocks in order."""


def _require(holds: bool, what: str) -> None:
    if not holds:
        raise _Refused(what)


@cache
def _order(model: str) -> Order:
    """The stages of a network, tried out on meta tensors.

    Raises:
        SettingsError: its blocks cannot be ordered; the message says what is in the way.
    """
    # outside of inference mode: its tensors have no versions
    with torch.inference_mode(False), torch.no_grad(), torch.device("meta"):
        try:
            net = _create(model, num_classes=10).eval()  # some have no head of their own
            images = torch.empty(1, *net.pretrained_cfg["input_size"])
            order = _read_order(net, images)
            network = _assemble(net, order)
            found = network.run(images, 0, len(network.blocks))
            _require(found.shape == (1, network.feature_dim), "they do not end in the vector that the head takes")
            ours = {id(tensor) for tensor in network.parameters()}
            _require(ours == {id(tensor) for tensor in net.parameters()}, "some of its weights are in no block")
        except Exception as error:  # a network of another make may fail in any way when it is taken apart
            raise SettingsError(
                f"timm:{model} cannot be used, for its blocks cannot be put in order: {error}; choose another backbone"
            ) from error
    return order


def _read_order(net: Any, images: Tensor) -> Order:
    head = net.get_classifier()
    _require(isinstance(head, nn.Linear), "its head is not one linear layer")
    widths = {info["module"]: info["num_chs"] for info in getattr(net, "feature_info", None) or []}
    _require(len(widths) > 1, "timm knows of no stages in it")
    units = list(_units(net, "", widths))
    _require(set(widths) <= set(units), "its stages lie inside of other modules")

    last, calls = _watch(net, units, lambda: net.forward_features(images))
    whole, (called,) = _watch(net, [_path(net, head)], lambda: net(images))
    _require(whole is called.given, "its scores are not what its head gives")
    chain = [call.path for call in calls]
    _require(len(set(chain)) == len(chain), "a module runs twice")
    cuts = [path for path in chain if path in widths]
    _require(set(cuts) == set(widths), "a stage does not run")
    breaks = [place for place in range(1, len(calls)) if not _follows(calls[place], calls[place - 1])]
    first = chain.index(cuts[0])
    _require(all(place <= first for place in breaks), f"something happens before {chain[max(breaks, default=0)]}")
    _require(last is calls[-1].given, f"something happens after {chain[-1]}")
    embeds = bool(breaks) or calls[0].taken is not images

    stages, start = [], 0
    for cut in cuts:
        stop = len(chain) if cut == cuts[-1] else chain.index(cut) + 1
        given = calls[chain.index(cut)].given
        stages.append(Stage(cut, tuple(chain[start:stop]), _channels_last(given, widths[cut])))
        start = stop
    return Order(tuple(stages), embeds)


def _units(module: nn.Module, prefix: str, cuts: Iterable[str]) -> Iterable[str]:
    """Paths of the largest modules that no cut lies inside of, in order of definition."""
    for name, child in module.named_children():
        path = prefix + name
        if any(cut.startswith(f"{path}.") for cut in cuts):
            yield from _units(child, f"{path}.", cuts)
        else:
            yield path


def _path(net: nn.Module, wanted: nn.Module) -> str:
    return str(next(path for path, module in net.named_modules() if module is wanted))


def _watch(net: nn.Module, paths: Iterable[str], run: Callable[[], Any]) -> tuple[Any, list[Call]]:
    """What a run gives, and the calls of the modules at `paths` in their order."""
    calls: list[Call] = []

    def before(path: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            _require(
                len(args) == 1 and not kwargs and isinstance(args[0], Tensor), f"{path} takes more than one tensor"
            )
            calls.append(Call(path, args[0], args[0]._version))

        return hook

    def after(module: nn.Module, args: Any, given: Any) -> None:
        _require(isinstance(given, Tensor), f"{calls[-1].path} gives more than one tensor")
        calls[-1].given, calls[-1].given_version = given, given._version

    handles = []
    for path in paths:
        module = net.get_submodule(path)
        handles.append(module.register_forward_pre_hook(before(path), with_kwargs=True))
        handles.append(module.register_forward_hook(after))
    try:
        return run(), calls
    finally:
        for handle in handles:
            handle.remove()


def _follows(call: Call, previous: Call) -> bool:
    return call.taken is previous.given and call.taken_version == previous.given_version


def _channels_last(maps: Tensor, width: int) -> bool:
    """Whether a stage ends in (batch, h, w, channels)."""
    _require(maps.dim() == 4 or (maps.dim() == 3 and maps.shape[2] == width), "a stage gives neither maps nor tokens")
    return maps.dim() == 4 and maps.shape[3] == width and maps.shape[1] != width


class Part(nn.Module):
    """One of timm's own methods on a copy of the network that holds the modules of this part alone."""

    def __init__(self, net: Any, method: str, **options: Any):
        super().__init__()
        self.net = net
        self.method = method
        self.options = options

    def forward(self, activations: Tensor) -> Tensor:
        return cast(Tensor, getattr(self.net, self.method)(activations, **self.options))


def _assemble(net: Any, order: Order) -> Network:
    """The network in blocks; it shares all weights with timm's."""
    head = net.get_classifier()
    chain = [path for stage in order.stages for path in stage.paths]
    blocks = []
    for number, stage in enumerate(order.stages):
        modules: list[nn.Module] = []
        if number and order.stages[number - 1].channels_last:
            modules.append(Permute(CHANNELS_LAST))
        if number == 0 and order.embeds:
            rest = {name for name, _ in net.named_children()} - {path.split(".")[0] for path in chain}
            modules.append(Part(_without(net, {*chain} - {*stage.paths} | rest), "forward_features"))
        else:
            modules += [net.get_submodule(path) for path in stage.paths]
        if number == len(order.stages) - 1:
            end = _without(net, {*chain, _path(net, head)})
            if order.embeds:
                end._parameters, end._buffers = {}, {}
            modules.append(Part(end, "forward_head", pre_logits=True))
        elif stage.channels_last:
            modules.append(Permute(CHANNELS_FIRST))
        blocks.append((stage.name, modules[0] if len(modules) == 1 else nn.Sequential(*modules)))
    return Network(blocks, head, original=net)


def _without(module: nn.Module, paths: set[str], prefix: str = "") -> Any:
    """A copy that shares all tensors but lacks the modules at `paths`: out of lists, passed through elsewhere."""
    found = copy.copy(module)
    found._modules = {}
    listed = isinstance(module, nn.Sequential | nn.ModuleList)
    for name, child in module.named_children():
        path = prefix + name
        if path not in paths:
            inside = any(wanted.startswith(f"{path}.") for wanted in paths)
            found._modules[name] = _without(child, paths, f"{path}.") if inside else child
        elif not listed:
            found._modules[name] = nn.Identity()
    return found
