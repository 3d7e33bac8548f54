"""Cuts, hashes and reads packs by the papers alone: nothing here was taken from the program or from its libraries.

Usage: python packs.py PACK TABLE FILE...

PACK is a pack of which every chunk is stored as it is, TABLE its table without compression, and the FILEs are what it
holds, in their order. Prints what differs from what the format says, a line each; nothing where all is right.

- Boundaries: Xia and others, "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage Systems",
  IEEE TPDS 31/9 (2020), algorithm 1, a byte at a time. Its gear table is, as its authors made it, the first eight bytes
  of the MD5 of 64 times each byte value; its masks have the bits that the authors' code
  sets for 128 KiB (hard) and 32 KiB (easy).
- Hashes: "BLAKE3: one function, fast everywhere" (2020), section 2, without keys.
"""

import hashlib
import struct
import sys
from pathlib import Path

MIN, AVERAGE, MAX = 16 << 10, 64 << 10, 256 << 10
# Normalization level 1: twice as hard as the average to cut before it, twice as easy after it.
HARD, EASY = 0x0000D90703537000, 0x0000D90F03530000
GEAR = [int.from_bytes(hashlib.md5(bytes([value]) * 64).digest()[:8], "big") for value in range(256)]

INITIAL = [0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19]
PERMUTATION = [2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8]
COLUMNS = [(0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15)]
DIAGONALS = [(0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14)]
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8


def cut(content: bytes) -> int:
    """The length of the chunk at the front of `content`."""
    end = min(len(content), MAX)
    if end <= MIN:
        return end
    fingerprint = 0
    for at in range(MIN, end):
        fingerprint = ((fingerprint << 1) + GEAR[content[at]]) & (2**64 - 1)
        if fingerprint & (HARD if at < AVERAGE else EASY) == 0:
            return at
    return end


def compress(value: list[int], block: bytes, counter: int, flags: int) -> list[int]:
    """The compression function, cut to its first half."""
    words = list(struct.unpack("<16I", block.ljust(64, b"\0")))
    state = value + INITIAL[:4] + [counter & 0xFFFFFFFF, counter >> 32, len(block), flags]

    def turn(word: int, by: int) -> int:
        return (word >> by | word << (32 - by)) & 0xFFFFFFFF

    for _ in range(7):
        for (a, b, c, d), (x, y) in zip(COLUMNS + DIAGONALS, zip(words[::2], words[1::2])):
            state[a] = (state[a] + state[b] + x) & 0xFFFFFFFF
            state[d] = turn(state[d] ^ state[a], 16)
            state[c] = (state[c] + state[d]) & 0xFFFFFFFF
            state[b] = turn(state[b] ^ state[c], 12)
            state[a] = (state[a] + state[b] + y) & 0xFFFFFFFF
            state[d] = turn(state[d] ^ state[a], 8)
            state[c] = (state[c] + state[d]) & 0xFFFFFFFF
            state[b] = turn(state[b] ^ state[c], 7)
        words = [words[at] for at in PERMUTATION]
    return [low ^ high for low, high in zip(state[:8], state[8:])]


def leaf(content: bytes, counter: int, root: int) -> list[int]:
    value = INITIAL
    starts = range(0, max(len(content), 1), 64)
    for start in starts:
        flags = (CHUNK_START if start == 0 else 0) | (CHUNK_END | root if start == starts[-1] else 0)
        value = compress(value, content[start : start + 64], counter, flags)
    return value


def tree(content: bytes, counter: int = 0, root: int = ROOT) -> list[int]:
    if len(content) <= 1024:
        return leaf(content, counter, root)
    # The left side is the largest full tree that leaves something for the right one.
    left = 1024 << ((len(content) - 1) // 1024).bit_length() - 1
    both = tree(content[:left], counter, 0) + tree(content[left:], counter + left // 1024, 0)
    return compress(INITIAL, struct.pack("<16I", *both), 0, PARENT | root)


def blake3(content: bytes) -> bytes:
    return struct.pack("<8I", *tree(content))


def read_table(table: bytes) -> list[tuple[bytes, int, int, int, int]]:
    """Hash, offset, stored size, raw size and encoding of each chunk."""
    magic, count = struct.unpack_from("<8sI", table)
    if magic != b"MOBTOC\0\x01" or len(table) != 12 + 49 * count:
        raise SystemExit(f"the table begins with {magic!r} and has {len(table)} bytes for {count} chunks")
    columns = struct.unpack_from(f"<{32 * count}s{count}Q{count}I{count}I{count}B", table, 12)
    hashes, numbers = columns[0], columns[1:]
    column = [numbers[start : start + count] for start in range(0, 4 * count, count)]
    return [(hashes[32 * at : 32 * at + 32], *(each[at] for each in column)) for at in range(count)]


def main() -> None:
    pack, table, *files = (Path(name).read_bytes() for name in sys.argv[1:])
    expected, offset = [], 0
    for content in files:
        while content:
            length = cut(content)
            chunk, content = content[:length], content[length:]
            expected.append((blake3(chunk), offset, length, length, 0))
            if pack[offset : offset + length] != chunk:
                print(f"the frame at {offset} is not the chunk")
            offset += length
    found = read_table(table)
    if len(found) != len(expected):
        print(f"{len(found)} chunks, and {len(expected)} expected")
    for at, (one, other) in enumerate(zip(found, expected)):
        if one != other:
            print(f"chunk {at} is {one}, and {other} expected")


main()
