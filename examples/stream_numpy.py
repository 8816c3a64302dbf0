#!/usr/bin/python3
"""Streams a numpy array [frame, x, y] (uint8, uint16 or float32, any strides) as a series.

Frames are given away, not copied: each array is kept alive until the library lets go of it.

example: stream_numpy.py http://127.0.0.1:15348 test/array.pcs stack.npy
$SKEIN_STREAMER names the library [default: libskein-streamer.so.0].
"""
import ctypes as c
import os
import sys

import numpy as np

OK, WRONG, EXISTS, FULL, NO_NODE, TIMED_OUT, INCOMPLETE, FAILED = range(8)
PIXELS = {np.dtype("u1"): 0, np.dtype("<u2"): 1, np.dtype("<f4"): 2}


class Options(c.Structure):
    _fields_ = [("struct_bytes", c.c_size_t), ("path", c.c_char_p), ("pixel_type", c.c_int),
                ("width", c.c_uint32), ("height", c.c_uint32), ("depth", c.c_uint32),
                ("codec", c.c_int), ("quantize", c.c_int), ("quantize_offset", c.c_float),
                ("quantize_scale", c.c_float), ("metadata_json", c.c_char_p),
                ("size_c", c.c_int64), ("size_z", c.c_int64), ("size_t", c.c_int64),
                ("dim_order", c.c_char_p), ("queue_bytes", c.c_uint64),
                ("encode_threads", c.c_uint), ("recovery_folder", c.c_char_p),
                ("spill", c.c_int), ("spill_bytes", c.c_uint64)]


class Frame(c.Structure):
    _fields_ = [("struct_bytes", c.c_size_t), ("pixels", c.c_void_p), ("size_bytes", c.c_size_t),
                ("strides", c.c_ssize_t * 3), ("timestamp", c.c_uint64)]


Release = c.CFUNCTYPE(None, c.c_void_p)


def load():
    library = c.CDLL(os.environ.get("SKEIN_STREAMER", "libskein-streamer.so.0"))
    library.skein_error_text.restype = c.c_char_p
    library.skein_cluster_open.argtypes = [c.c_char_p, c.c_char_p, c.c_int, c.c_void_p]
    library.skein_cluster_close.argtypes = [c.c_void_p]
    library.skein_series_create.argtypes = [c.c_void_p, c.c_void_p, c.c_void_p]
    library.skein_series_submit_given.argtypes = [c.c_void_p, c.c_uint64, c.c_void_p, c.c_int,
                                                  Release, c.c_void_p]
    library.skein_series_finish.argtypes = [c.c_void_p, c.c_char_p, c.c_int]
    library.skein_series_close.argtypes = [c.c_void_p]
    return library


def check(library, status):
    if status != OK:
        raise RuntimeError(f"status {status}: {library.skein_error_text().decode()}")


def stream(nodes, path, frames, metadata_json="{}"):
    if frames.ndim != 3 or frames.dtype not in PIXELS:
        raise ValueError("frames: an array [frame, x, y] of uint8, uint16 or float32")
    library = load()
    cluster, series = c.c_void_p(), c.c_void_p()
    lent = {}  # frames that the library reads, by index
    release = Release(lambda index: lent.pop(index or 0, None))  # a context of 0 comes as None
    check(library, library.skein_cluster_open(b"", nodes.encode(), 2000, c.byref(cluster)))
    try:
        options = Options()
        library.skein_series_options_init(c.byref(options))
        options.path, options.metadata_json = path.encode(), metadata_json.encode()
        options.pixel_type = PIXELS[frames.dtype]
        options.width, options.height = frames.shape[1:]
        check(library, library.skein_series_create(cluster, c.byref(options), c.byref(series)))
        for index, pixels in enumerate(frames):
            frame = Frame()
            library.skein_frame_init(c.byref(frame))
            frame.pixels = pixels.ctypes.data
            frame.strides = (c.c_ssize_t * 3)(*pixels.strides, 0)
            lent[index] = pixels
            check(library, library.skein_series_submit_given(series, index, c.byref(frame), 5000,
                                                             release, index))
        check(library, library.skein_series_finish(series, None, 60000))
        assert not lent
    finally:
        library.skein_series_close(series)
        library.skein_cluster_close(cluster)


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    stream(sys.argv[1], sys.argv[2], np.load(sys.argv[3]))
