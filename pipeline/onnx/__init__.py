"""The ONNX graph of a generator, run by onnxruntime, which loads ten times as fast as torch; `export` writes it."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as faults

from pipeline.data.sampler import derive_seed
from pipeline.errors import UserError, describe_fault, first_line
from pipeline.files import digest_file, read_json
from pipeline.records import Frames, ModelFiles, digest_description, read_exported_sampling

ABOUT = "t2v"  # key of the graph's metadata: which model it is of
NOISE, TOKENS, FRAMES = "z", "token_ids", "frames"  # inputs and output
UNREADABLE = (
    *(faults.Fail, faults.InvalidArgument, faults.InvalidGraph, faults.InvalidProtobuf),
    *(faults.NotImplemented, faults.RuntimeException),
)

STATE_WORDS, MULTIPLIER = 624, 1812433253  # size of the state of the Mersenne Twister, and factor of its seeding
BLOCK = 16  # torch's Box-Muller transform works on blocks: the first half by cosines, the other by sines


class GraphUnfit(Exception):
    """A graph cannot replace its model; the message says why."""


class Graph:
    """A generator as ONNX: noise `z` [B,Z] and `token_ids` [B,L], padded with 0 -> `frames` [B,3,T,H,W] in [-1,1].

    It runs clip by clip, in one thread, so that clips depend neither on their number nor on the machine's cores. Raises
    GraphUnfit if onnxruntime cannot read it.
    """

    def __init__(self, graph: Path | bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        # It was optimised at export; further optimisation takes longer than it saves for a few clips.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        source = str(graph) if isinstance(graph, Path) else graph
        try:
            self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
            self.about: dict[str, Any] = json.loads(self._session.get_modelmeta().custom_metadata_map[ABOUT])
        except (*UNREADABLE, KeyError, ValueError) as error:
            raise GraphUnfit(f"not the graph of a generator ({describe_fault(error)})") from None
        self.z_width, self.max_tokens = (entry.shape[1] for entry in self._session.get_inputs())

    @staticmethod
    def describe_environment() -> dict[str, Any]:
        """What the pixels depend on besides the graph: kernels are selected by the processor."""
        return {"onnxruntime": onnxruntime.__version__, "cpu": _find_instructions(), "threads": 1, "device": "cpu"}

    def run(self, token_ids: NDArray[np.int64], z: NDArray[np.float32]) -> NDArray[np.float32]:
        """One pass: ids [B,L] and noise [B,Z] -> [B,3,T,H,W]. Raises GraphUnfit if it fails."""
        try:
            (frames,) = self._session.run([FRAMES], {TOKENS: token_ids, NOISE: z})
        except UNREADABLE as error:
            raise GraphUnfit(f"it does not run ({first_line(error)})") from None
        drawn: NDArray[np.float32] = frames
        return drawn

    def sample(self, token_ids: Sequence[int], seed: int, count: int, first: int = 0) -> Frames:
        """Clips of a caption from number `first` -> uint8 [N,T,H,W,3]. Raises UserError if they are not finite."""
        ids = np.zeros((1, self.max_tokens), np.int64)
        ids[0, : len(token_ids)] = token_ids
        clips = [self.run(ids, z[None]) for z in draw_noise_rows(seed, count, self.z_width, first)]
        return to_pixels(np.concatenate(clips))


def to_pixels(clips: NDArray[np.float32]) -> Frames:
    """As `pipeline.data.dataset.to_frames`: float [B,3,T,H,W] in [-1,1], clipped -> uint8 [B,T,H,W,3]."""
    if not np.isfinite(clips).all():
        raise UserError("the graph's pixels are not finite: its weights are broken; `dvc repro -f train`")
    scaled = np.rint((clips.transpose(0, 2, 3, 4, 1) + np.float32(1)) * np.float32(255 / 2))
    frames: Frames = scaled.clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(frames)


def _find_instructions() -> str:
    """The vector instruction set of this processor, by torch's names."""
    try:
        flags = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").split()
    except OSError:
        return "unknown"
    return next((name for flag, name in (("avx512f", "AVX512"), ("avx2", "AVX2")) if flag in flags), "DEFAULT")


def _describe_model(files: ModelFiles) -> dict[str, Any]:
    """What identifies a model: the digests of its weights and its description; and its steps and guidance, if any."""
    description = read_json(files.description, "`dvc repro train` creates it")
    digests = {"model": digest_file(files.weights), "params": digest_description(description)}
    return {**digests, **read_exported_sampling(files)}


def open_graph(files: ModelFiles) -> Graph | None:
    """The graph next to a model; None if there is none. Raises GraphUnfit if it is broken or of another model."""
    if not files.graph.exists() or not files.weights.exists() or not files.description.exists():
        return None
    graph = Graph(files.graph)
    if any(graph.about.get(key) != value for key, value in _describe_model(files).items()):
        raise GraphUnfit("it was exported from another model, or for other sampling params")
    return graph


def draw_noise_rows(seed: int, count: int, width: int, first: int = 0) -> NDArray[np.float32]:
    """The values of `pipeline.data.sampler.draw_noise`, to 1e-6: float32 [count,width]."""
    return np.stack([draw_normal(derive_seed(seed, "z", row), width) for row in range(first, first + count)])


def draw_normal(seed: int, count: int) -> NDArray[np.float32]:
    """The values of `torch.randn(count)` on a CPU with a generator of this seed, to 1e-6: float32 [count].

    Mersenne Twister: Matsumoto & Nishimura 1998; uniform to normal values: Box & Muller 1958. As in torch, fewer values
    than a block are drawn by another rule, and if `count` is no multiple of BLOCK, the last block is drawn again.
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
    """Python's Mersenne Twister with torch's seeding; importing numpy's would take as long as drawing."""
    state = [seed & 0xFFFFFFFF]
    for index in range(1, STATE_WORDS):
        state.append((MULTIPLIER * (state[-1] ^ state[-1] >> 30) + index) & 0xFFFFFFFF)
    twister = random.Random()
    twister.setstate((3, (*state, STATE_WORDS), None))  # version of the layout; all words are used up
    return twister


def _draw_words(twister: random.Random, count: int) -> NDArray[np.uint32]:
    """32-bit words in drawing order: uint32 [count]."""
    return np.frombuffer(twister.getrandbits(32 * count).to_bytes(4 * count, "little"), "<u4")


def _draw_even(twister: random.Random, count: int) -> NDArray[np.float32]:
    """Uniform values in [0,1) with 24 bits: float32 [count]."""
    bits = _draw_words(twister, count) & np.uint32((1 << 24) - 1)
    return bits.astype(np.float32) * np.float32(2.0**-24)


def _turn_normal(even: NDArray[np.float32]) -> NDArray[np.float32]:
    """Uniform values in [0,1) [N], N a multiple of BLOCK -> normal values [N]."""
    radii, angles = np.moveaxis(even.reshape(-1, 2, BLOCK // 2), 1, 0)
    radius, angle = np.sqrt(-2 * np.log(1 - radii)), np.float32(2 * np.pi) * angles
    normal: NDArray[np.float32] = np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)
    return normal


def _draw_few(twister: random.Random, count: int) -> NDArray[np.float32]:
    """Normal values as torch draws fewer than a block: in pairs, from uniform values with 53 bits."""
    words = _draw_words(twister, 4 * -(-count // 2)).astype(np.uint64).reshape(-1, 2, 2)
    bits = (words[..., 0] << np.uint64(32) | words[..., 1]) & np.uint64((1 << 53) - 1)
    angle, radius = (bits * 2.0**-53).T * [[2 * np.pi], [1]]
    radius = np.sqrt(-2 * np.log1p(-radius))
    return np.stack((radius * np.cos(angle), radius * np.sin(angle)), axis=1).reshape(-1)[:count].astype(np.float32)
