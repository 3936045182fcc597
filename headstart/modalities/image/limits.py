"""How large an image may be. Apart from the decoder, so that settings need no Pillow."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What an image's header may say; beyond it, the file is set aside before its pixels are read.

    smallest_side: pixels. largest_aspect: the longer side over the shorter one. largest_pixels: width times height.
    """

    smallest_side: int = 2
    largest_aspect: float = 100.0
    largest_pixels: int = 64_000_000

    def refuse(self, width: int, height: int) -> str:
        """Why an image of this size is not read: a code and the cause; "" where it is."""
        short, long = sorted((width, height))
        if width * height > self.largest_pixels:
            return f"TOO_LARGE: {width}x{height} pixels, at most {self.largest_pixels:,} (data.largest_pixels)"
        if short < self.smallest_side:
            return f"TOO_SMALL: {width}x{height} pixels, at least {self.smallest_side} a side (data.smallest_side)"
        if long > self.largest_aspect * short:
            return f"TOO_LONG: {width}x{height} pixels, at most {self.largest_aspect:g} to 1 (data.largest_aspect)"
        return ""
