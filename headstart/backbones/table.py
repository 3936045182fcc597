"""The networks there are, and the smallest image each can take. Torch-free; built on use."""

from dataclasses import dataclass

from headstart.registry import Entry, Registry


@dataclass(frozen=True)
class Backbone(Entry):
    """A network as ordered blocks. `smallest` is the side of the smallest image it takes, pixels."""

    smallest: int


def _family(module: str, smallest: int, names: dict[str, str]) -> list[Backbone]:
    return [Backbone(name, line, f"headstart.backbones.{module}:{name}", smallest) for name, line in names.items()]


BACKBONES: Registry[Backbone] = Registry(
    "backbone",
    [
        *_family(
            "small_resnet",
            8,
            {
                "resnet8": "narrow three-stage ResNet for small images, 0.08 M parameters (He 2015, section 4.2)",
                "resnet14": "the same with two residual units a stage, 0.17 M parameters",
                "resnet20": "the same with three residual units a stage, 0.27 M parameters",
            },
        ),
        *_family(
            "resnet",
            8,
            {
                "resnet18": "11.7 M parameters (He 2015)",
                "resnet34": "21.8 M parameters",
                "resnet50": "25.6 M parameters, bottleneck units",
                "resnet101": "44.5 M parameters, bottleneck units",
                "resnet152": "60.2 M parameters, bottleneck units",
                "resnext50_32x4d": "25.0 M parameters, grouped convolutions (Xie 2016)",
                "resnext101_32x8d": "88.8 M parameters, grouped convolutions",
                "resnext101_64x4d": "83.5 M parameters, grouped convolutions",
                "wide_resnet50_2": "68.9 M parameters, twice as wide (Zagoruyko 2016)",
                "wide_resnet101_2": "126.9 M parameters, twice as wide",
            },
        ),
        *_family(
            "vgg",
            32,
            {
                "vgg11": "132.9 M parameters (Simonyan 2014)",
                "vgg11_bn": "132.9 M parameters, with batch normalisation",
                "vgg13": "133.0 M parameters",
                "vgg13_bn": "133.1 M parameters, with batch normalisation",
                "vgg16": "138.4 M parameters",
                "vgg16_bn": "138.4 M parameters, with batch normalisation",
                "vgg19": "143.7 M parameters",
                "vgg19_bn": "143.7 M parameters, with batch normalisation",
            },
        ),
        *_family(
            "shufflenet",
            8,
            {
                "shufflenet_v2_x0_5": "1.4 M parameters (Ma 2018)",
                "shufflenet_v2_x1_0": "2.3 M parameters",
                "shufflenet_v2_x1_5": "3.5 M parameters",
                "shufflenet_v2_x2_0": "7.4 M parameters",
            },
        ),
    ],
)
