"""Reads PZF and SZF frames. Written from docs/wire.md alone; shares nothing with the library."""
import struct
import subprocess

SIZES = {0: 1, 1: 2, 2: 4}
CODES = {0: "B", 1: "H", 2: "f"}


class Bits:
    def __init__(self, data):
        self.data, self.at = data, 0

    def next(self):
        bit = self.data[self.at >> 3] >> (7 - (self.at & 7)) & 1
        self.at += 1
        return bit


def _tree(bits):
    if bits.next():
        symbol = 0
        for _ in range(8):
            symbol = symbol * 2 + bits.next()
        return symbol
    zero = _tree(bits)
    return zero, _tree(bits)


def huffman(data, size):
    bits = Bits(data)
    root = _tree(bits)
    if isinstance(root, int):
        return bytes([root]) * size
    out = bytearray()
    while len(out) < size:
        node = root
        while not isinstance(node, int):
            node = node[bits.next()]
        out.append(node)
    return bytes(out)


def unshuffled_zstd(data, width):
    done = subprocess.run(["zstd", "-dc"], input=data, capture_output=True, timeout=20)
    assert done.returncode == 0, done.stderr
    planes, count = done.stdout, len(done.stdout) // width
    return b"".join(bytes(planes[k * count + i] for k in range(width)) for i in range(count))


class Frame:
    """number, sequence, shape (w, h, d), type and order; pixels() as a flat tuple in that order."""

    def __init__(self, file):
        (magic, version, self.type, self.compression, self.quantized, self.order, _, self.sequence,
         self.number, *shape, self.timestamp, self.offset, self.scale, start) = struct.unpack_from(
             "<2sBBBBcBqIIIIQffI", file)
        assert version == 3 and magic == (b"SZ" if self.compression == 3 else b"BD")
        self.shape = tuple(shape)
        count = shape[0] * shape[1] * shape[2]
        width = 1 if self.quantized else SIZES[self.type]
        data = file[start:]
        if self.compression == 0:
            coded = data
        elif self.compression == 1:
            coded = huffman(data, count * width)
        else:
            coded = unshuffled_zstd(data, width)
        assert len(coded) == count * width
        self.bytes = coded

    def pixels(self):
        code = "B" if self.quantized else CODES[self.type]
        values = struct.unpack(f"<{len(self.bytes) // struct.calcsize(code)}{code}", self.bytes)
        if self.quantized:
            values = tuple(int((q * self.scale) ** 2 + self.offset) for q in values)
        return values
