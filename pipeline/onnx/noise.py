"""The noise of a seed by numpy alone: what torch draws, where torch is not loaded."""

import random

import numpy as np
from numpy.typing import NDArray

from pipeline.data.sampler import derive_seed

WORDS, MULTIPLIER = 624, 1812433253  # of the state of a Mersenne Twister, and of how it is seeded
BLOCK = 16  # values that torch turns into normal ones at a time, the first half by cosines and the other by sines


def draw_noise_rows(seed: int, count: int, width: int) -> NDArray[np.float32]:
    """The values of `pipeline.data.sampler.draw_noise` to 1e-6: float32 [count,width]."""
    return np.stack([draw_normal(derive_seed(seed, "z", row), width) for row in range(count)])


def draw_normal(seed: int, count: int) -> NDArray[np.float32]:
    """The values of `torch.randn(count)` on a CPU with a generator of this seed, to 1e-6: float32 [count].

    Mersenne Twister: Matsumoto & Nishimura 1998; normal values of even ones: Box & Muller 1958. Fewer values than a
    block are drawn by another rule, and where they fill no whole number of blocks, the last block is drawn anew.
    """
    twister = _seed_twister(seed)
    if count < BLOCK:
        return _draw_few(twister, count)
    even = _draw_even(twister, count)
    values = np.concatenate([_turn_normal(even[: count - count % BLOCK]), even[count - count % BLOCK :]])
    if count % BLOCK:
        values[-BLOCK:] = _turn_normal(_draw_even(twister, BLOCK))
    return values


def _seed_twister(seed: int) -> random.Random:
    """Python's twister in the state that torch seeds its own with; numpy's would take as long to load as to draw."""
    state = [seed & 0xFFFFFFFF]
    for place in range(1, WORDS):
        state.append((MULTIPLIER * (state[-1] ^ state[-1] >> 30) + place) & 0xFFFFFFFF)
    twister = random.Random()
    twister.setstate((3, (*state, WORDS), None))  # the version of the state's layout; all words are used up
    return twister


def _draw_words(twister: random.Random, count: int) -> NDArray[np.uint32]:
    """Words of 32 bits in the order in which they are drawn: uint32 [count]."""
    return np.frombuffer(twister.getrandbits(32 * count).to_bytes(4 * count, "little"), "<u4")


def _draw_even(twister: random.Random, count: int) -> NDArray[np.float32]:
    """Values in [0,1) of 24 bits each: float32 [count]."""
    bits = _draw_words(twister, count) & np.uint32((1 << 24) - 1)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def _turn_normal(even: NDArray[np.float32]) -> NDArray[np.float32]:
    """Values in [0,1) [N], N a multiple of BLOCK -> normal ones [N]."""
    radii, angles = np.moveaxis(even.reshape(-1, 2, BLOCK // 2), 1, 0)
    radius, angle = np.sqrt(-2 * np.log(1 - radii)), np.float32(2 * np.pi) * angles
    normal: NDArray[np.float32] = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)
    return normal


def _draw_few(twister: random.Random, count: int) -> NDArray[np.float32]:
    """As torch draws fewer values than a block: pair by pair, from even values of 53 bits."""
    words = _draw_words(twister, 4 * -(-count // 2)).astype(np.uint64).reshape(-1, 2, 2)
    bits = (words[..., 0] << np.uint64(32) | words[..., 1]) & np.uint64((1 << 53) - 1)
    angle, radius = (bits * 2.0**-53).T * [[2 * np.pi], [1]]
    radius = np.sqrt(-2 * np.log1p(-radius))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)[:count].astype(np.float32)
