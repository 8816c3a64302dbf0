#!/usr/bin/python3
"""Makes instrument data for the demo and the tests; the same bytes every time.

usage: tools/demo_data.py stack FILE [--pages N]        a TIFF stack of beads, 16 bit
       tools/demo_data.py series FOLDER [--frames N]    a camera series, written as a camera does

Prints "SHA256  path" per file (as sha256sum does, relative to FILE's or FOLDER's parent), from the
bytes in memory: what was read back from a disk proves nothing about it.
Formats: docs/wire.md, "Series" and "PZF frame"; TIFF 6.0.
exit status: 0 all written; 1 a write failed
"""
import argparse
import array
import hashlib
import json
import pathlib
import random
import struct
import sys

SIDE = 128  # pixels
CAMERA_OFFSET = 100
START_TIME_S = 1735689600.0  # any instant does; a fixed one keeps the bytes the same


def bead_image(index):
    """A frame of SIDE x SIDE 16-bit pixels: noise over an offset, and beads that drift."""
    noise = random.Random(index)
    pixels = array.array("H", (CAMERA_OFFSET + v // 8 for v in noise.randbytes(SIDE * SIDE)))
    beads = random.Random(7)
    for _ in range(20):
        x0 = (beads.randrange(SIDE) + index // 4) % SIDE
        y0, height = beads.randrange(SIDE), beads.randrange(400, 4000)
        for dy in range(-3, 4):
            for dx in range(-3, 4):
                place = (y0 + dy) % SIDE * SIDE + (x0 + dx) % SIDE
                pixels[place] = min(65535, pixels[place] + height // (1 + dx * dx + dy * dy))
    if sys.byteorder == "big":
        pixels.byteswap()
    return pixels.tobytes()


def tiff_stack(pages):
    """A classic little-endian TIFF: each page one strip, followed by its directory."""
    image_bytes = SIDE * SIDE * 2
    entry = struct.Struct("<HHII")
    text = bytearray(b"II*\0" + struct.pack("<I", 8 + image_bytes))
    for page in range(pages):
        strip = len(text)
        text += bead_image(page)
        fields = [(256, 4, SIDE), (257, 4, SIDE), (258, 3, 16), (259, 3, 1), (262, 3, 1),
                  (273, 4, strip), (277, 3, 1), (278, 4, SIDE), (279, 4, image_bytes)]
        following = len(text) + 2 + len(fields) * entry.size + 4 + image_bytes
        text += struct.pack("<H", len(fields))
        for tag, kind, value in fields:
            text += entry.pack(tag, kind, 1, value)
        text += struct.pack("<I", following if page + 1 < pages else 0)
    return bytes(text)


def pzf_frame(index):
    """A PZF frame, version 3, raw."""
    return struct.pack("<2sBBBBcBqIIIIQffI12x", b"BD", 3, 1, 0, 0, b"C", 0, 0, index, SIDE, SIDE, 1,
                       index * 10_000, 0.0, 1.0, 64) + bead_image(index)


def series_files(frames):
    """Name and bytes in the order in which a camera writes them."""
    first = {"DimOrder": "XYCZT", "SizeC": 1, "SizeZ": 1, "SizeT": frames, "imageID": 0,
             "StartTime": START_TIME_S, "Camera.Name": "demo", "voxelsize.x": 0.1,
             "voxelsize.y": 0.1, "voxelsize.z": 0.2}
    yield "metadata.json", as_json(first)
    for index in range(frames):
        yield f"frame{index:05d}.pzf", pzf_frame(index)
    yield "final_metadata.json", as_json({**first, "EndTime": START_TIME_S + frames * 0.01})
    yield "events.json", json.dumps([["StartAq", "0", START_TIME_S],
                                     ["EndAq", str(frames), START_TIME_S + frames * 0.01]]).encode()


def as_json(fields):
    return json.dumps(fields, indent=2, sort_keys=True).encode()


def write(path, text, base):
    # "x": the place may be a write-once filesystem, and a name that is taken is an error anywhere.
    with open(path, "xb") as file:
        file.write(text)
    print(f"{hashlib.sha256(text).hexdigest()}  {path.relative_to(base)}", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="demo_data.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("stack", "series"))
    parser.add_argument("path", type=pathlib.Path)
    parser.add_argument("--pages", type=int, default=30)
    parser.add_argument("--frames", type=int, default=100)
    arguments = parser.parse_args()
    base = arguments.path.parent
    try:
        if arguments.kind == "stack":
            write(arguments.path, tiff_stack(arguments.pages), base)
            return 0
        arguments.path.mkdir(parents=True, exist_ok=True)
        for name, text in series_files(arguments.frames):
            write(arguments.path / name, text, base)
    except OSError as why:
        print(f"demo_data.py: {why.filename}: {why.strerror}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
