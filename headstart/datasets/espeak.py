"""Speaks a list of words with espeak-ng: run by spoken.py as a process of its own.

Its state carries over from word to word and cannot be reset, so that the bytes are only the same where a process begins
anew; and a library in C, under the GPL, is called and not made part of anything. Standard input: JSON, a list of
[voice, word, speed, pitch, range]. Standard output: for each the number of samples (8 bytes), then 16-bit samples, at
22,050 a second.
"""

import ctypes
import json
import sys
from pathlib import Path

SYNCHRONOUS, DONT_EXIT, UTF_8 = 2, 0x8000, 1
SPEED, PITCH, RANGE = 1, 3, 4
RATE = 22_050


def main() -> None:
    import espeakng_loader

    data = str(espeakng_loader.get_data_path())
    library = ctypes.CDLL(espeakng_loader.get_library_path())
    callback_of = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    heard: list[bytes] = []

    def hear(samples: "ctypes._Pointer[ctypes.c_short]", count: int, _: int | None) -> int:
        if samples and count > 0:
            heard.append(ctypes.string_at(samples, 2 * count))
        return 0

    hearing = callback_of(hear)  # kept: the library holds no reference
    rate = library.espeak_Initialize(SYNCHRONOUS, 0, data.encode(), DONT_EXIT)
    if rate != RATE:
        raise SystemExit(f"espeak-ng does not start: its data give {rate} samples a second, {RATE} are expected")
    library.espeak_SetSynthCallback(hearing)
    library.espeak_ng_SetRandSeed(1)  # else the time
    synth = library.espeak_Synth
    number, pointer = ctypes.c_uint, ctypes.c_void_p
    synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, number, number, number, number, pointer, pointer]
    for voice, word, *numbers in json.load(sys.stdin):
        heard.clear()
        variant = Path(data, "voices", "!v", voice.partition("+")[2])  # one that is not there would be passed over
        if not variant.is_file() or library.espeak_SetVoiceByName(voice.encode()):
            raise SystemExit(f"espeak-ng has no voice {voice}")
        for parameter, value in zip((SPEED, PITCH, RANGE), numbers, strict=True):
            library.espeak_SetParameter(parameter, value, 0)
        text = word.encode()
        if synth(text, len(text) + 1, 0, 0, 0, UTF_8, None, None):
            raise SystemExit(f"espeak-ng did not speak {word}")
        library.espeak_Synchronize()
        sound = b"".join(heard)
        sys.stdout.buffer.write(len(sound).to_bytes(8, "little") + sound)


if __name__ == "__main__":
    main()
