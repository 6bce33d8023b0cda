"""Generators of every kind as ONNX graphs: onnxruntime draws with them what torch draws."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from networks import save_stirred
from training_sets import CONVGRU, FLOW, tiny_params

from pipeline.data.dataset import to_frames
from pipeline.files import digest_file
from pipeline.inference import Model
from pipeline.models.networks import Generator
from pipeline.onnx import Graph, to_pixels
from pipeline.onnx.export import ANY, ONE, export_generator

KINDS = {
    "still layers": {},
    "warped background and volume": {"generator": {"background": "warped", "volume_width": 8}},
    "convgru": {"generator": CONVGRU},
    "flow in steps": FLOW | {"flow": {"sample_steps": 2}},
    "transformer of captions": {"captions": {"encoder": "transformer", "width": 8, "heads": 2}},
}


def untrained(folder, **train):
    """A model whose weights are random, so that every path counts; a recurrent one is traced frame by frame: of few."""
    params = tiny_params(**train)
    clip = params.clip.model_copy(update={"frames": 4, "height": 8, "width": 8})
    return Model(save_stirred(folder, params.model_copy(update={"clip": clip})))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_graph_draws_what_torch_draws_within_one_grey_level(kind, tmp_path):
    """Against torch itself, in a session of the test's own, and with captions shorter than the graph's."""
    model = untrained(tmp_path, **KINDS[kind])
    exported = export_generator(model, ONE)
    assert (exported.fault, exported.batch) == ("", ONE)
    session = onnxruntime.InferenceSession(exported.graph, providers=["CPUExecutionProvider"])
    z, words = torch.randn(1, model.generator.z_width), torch.tensor([[4, 2, 7]])
    padded = torch.cat((words, torch.zeros(1, model.max_tokens - 3, dtype=torch.int64)), dim=1)
    (drawn,) = session.run(None, {"z": z.numpy(), "token_ids": padded.numpy()})
    with torch.inference_mode():
        expected = to_frames(model.generator(z, words)).astype(int)
    assert expected.std() > 5, "a plain picture would be equal by chance"
    assert np.abs(to_pixels(drawn) - expected).max() <= 1


@pytest.mark.slow
def test_a_graph_of_any_number_of_clips_takes_any_number(tmp_path):
    model = untrained(tmp_path)
    exported = export_generator(model, ANY, ONE)
    assert (exported.fault, exported.batch) == ("", ANY)
    graph = Graph(exported.graph)
    assert graph.about["model"] == digest_file(tmp_path / "generator.safetensors")
    for count in (1, 4, 7):
        z, ids = torch.randn(count, graph.z_width), torch.randint(1, 9, (count, graph.max_tokens))
        with torch.inference_mode():
            expected = to_frames(model.generator(z, ids)).astype(int)
        assert np.abs(to_pixels(graph.run(ids.numpy(), z.numpy())) - expected).max() <= 1
    inputs = onnx.load_model_from_string(exported.graph).graph.input
    assert [entry.type.tensor_type.shape.dim[0].dim_param for entry in inputs] == ["batch", "batch"]
    assert b"pipeline" not in exported.graph, "a path of this machine"


class Undecided(Generator):
    """Draws in a way that depends on what it has drawn, which no graph can follow."""

    def __init__(self, shape, params, cond):  # noqa: ARG002
        super().__init__()
        self.z_width, self.sides = 4, (3, shape.frames, shape.height, shape.width)

    def forward(self, z, cond):
        return (z if z.mean().item() > 0 else -z).mean() * cond.mean() + torch.zeros(len(z), *self.sides)


def test_a_generator_that_cannot_be_exported_is_told_of_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("pipeline.models.networks.find_generator", lambda params: Undecided)  # noqa: ARG005
    exported = export_generator(untrained(tmp_path), ONE)
    assert exported.graph == b""
    assert exported.fault.startswith("torch.onnx cannot export this generator: ")
    assert "\n" not in exported.fault
