// The Huffman stream of PZF frames (pymecompress "bcl"), bit for bit (docs/wire.md, "Huffman
// stream"): the code tree in pre-order, then the codes, most significant bit first, padded with
// zeros to a byte. No header and no length: the decoded size is known from outside.
//
// Codes are at most 24 bits long: PYME's encoder corrupts longer ones, and a short code keeps two
// symbols within one 64-bit word. Pure functions, safe concurrently.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "core/error.h"

namespace skein {

// Room that any encoding of `size_bytes` fits into.
std::size_t huffman_bound(std::size_t size_bytes);

// Encodes all of `data` and returns the bytes written. Precondition: out.size() is at least
// huffman_bound(data.size()). Empty data gives an empty stream.
std::size_t huffman_encode(std::span<const std::uint8_t> data, std::span<std::uint8_t> out);

// Decodes exactly out.size() bytes. Errors: bad_message (malformed tree, or the stream ends early);
// `out` is then unspecified.
Result<void> huffman_decode(std::span<const std::uint8_t> stream, std::span<std::uint8_t> out);

}  // namespace skein
