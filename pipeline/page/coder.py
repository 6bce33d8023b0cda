"""Whole numbers as text, in the fewest characters: an entropy coder whose digits are characters of a page.

Range asymmetric numeral systems (Duda 2013, arXiv:1311.2540), here with digits of base 93 instead of bytes. All
of it is arithmetic of integers, so equal numbers give equal text everywhere, which they do not by the various versions
of zlib. Consecutive numbers belong to different lanes, each with a state of its own, so that numpy encodes all lanes at
once. pipeline/page/player/weights.js decodes the text.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]

# Printable ASCII without the blank, at which lines may be wrapped, and without "<", which could start an element.
DIGITS = "".join(map(chr, range(ord("!"), ord("~") + 1))).replace("<", "")
BASE = len(DIGITS)
LANES = 256
LOWEST = 1 << 24  # a state lies in LOWEST .. BASE * LOWEST - 1
STATE_DIGITS = 5  # BASE**5 exceeds BASE * LOWEST
TABLE_BITS = 12  # frequencies of a table add up to 2**12
RAW_BITS = 12  # bits that are coded at once

DIRECT = 64  # smaller numbers have a symbol of their own; that of a larger one is its length and the next two bits
DIRECT_BITS = 6


@dataclass
class Coder:
    """Collects numbers in the order in which they are decoded."""

    _written: list[tuple[Integers, Integers, Integers]] = field(default_factory=list)  # starts, frequencies, bits

    def write_symbols(self, symbols: Integers, rows: Integers, tables: Integers) -> None:
        """Symbols [N] by the frequencies in the given rows [N] of `tables` [R,S]."""
        starts = np.cumsum(tables, axis=1) - tables
        self._written.append((starts[rows, symbols], tables[rows, symbols], np.full(len(symbols), TABLE_BITS)))

    def write_bits(self, values: Integers, bits: Integers) -> None:
        """Values [N] of so many bits [N], all equally likely; zero bits take no space."""
        for done in range(0, int(bits.max(initial=0)), RAW_BITS):
            now = np.clip(bits - done, 0, RAW_BITS)
            self._written.append((values >> done & (1 << now) - 1, np.ones_like(now), now))

    def encode(self) -> str:
        """The text of all numbers."""
        states = np.full(LANES, LOWEST)
        pieces: list[Integers] = []
        for starts, frequencies, bits in reversed(self._written):
            for at in reversed(range(0, len(starts), LANES)):
                here = slice(at, at + LANES)
                pieces.append(_push(states, starts[here], frequencies[here], bits[here]))
        powers = BASE ** np.arange(STATE_DIGITS - 1, -1, -1)
        pieces.append((states[:, None] // powers % BASE).ravel())
        text = np.frombuffer(DIGITS.encode("ascii"), np.uint8)[np.concatenate(pieces[::-1])]
        return text.tobytes().decode("ascii")


def _push(states: Integers, starts: Integers, frequencies: Integers, bits: Integers) -> Integers:
    """Add a number to each of the first lanes -> the digits that overflow, in the order in which they are decoded."""
    old = states[: len(starts)]
    limits = BASE * (LOWEST >> bits) * frequencies
    digits = []
    while (full := old >= limits).any():
        digits.append(np.where(full, old % BASE, -1))
        old = np.where(full, old // BASE, old)
    states[: len(starts)] = (old // frequencies << bits) + old % frequencies + starts
    if not digits:
        return np.empty(0, np.int64)
    order = np.stack(digits[::-1], axis=1).ravel()
    return order[order >= 0]


def count_frequencies(symbols: Integers) -> Integers:
    """Counts of symbols, scaled so that they add up to 2**TABLE_BITS, with at least 1 for each that occurs."""
    counts, whole = np.bincount(symbols, minlength=1), 1 << TABLE_BITS
    present = counts > 0
    scaled: Integers = present + counts * (whole - present.sum()) // max(len(symbols), 1)
    scaled[np.argmax(scaled)] += whole - scaled.sum()
    return scaled


def pad_tables(tables: Sequence[Integers]) -> Integers:
    """Frequencies of several tables as one array [R,S], with zeros at the end of the shorter ones."""
    padded = np.zeros((len(tables), max(map(len, tables), default=0)), np.int64)
    for row, table in enumerate(tables):
        padded[row, : len(table)] = table
    return padded


def split_numbers(numbers: Integers) -> tuple[Integers, Integers, Integers]:
    """Symbols of signed numbers, and the values and counts of the bits that the symbols leave open.

    Numbers are zigzag-encoded: 0, -1, 1, -2 become 0, 1, 2, 3.
    """
    zigzag = np.where(numbers < 0, -2 * numbers - 1, 2 * numbers)
    lengths = np.frexp(zigzag.astype(np.float64))[1].astype(np.int64)  # of the numbers in bits
    bits = np.where(zigzag < DIRECT, 0, lengths - 3)
    symbols = np.where(zigzag < DIRECT, zigzag, DIRECT + 4 * (lengths - DIRECT_BITS - 1) + (zigzag >> bits & 3))
    return symbols, zigzag & (1 << bits) - 1, bits
