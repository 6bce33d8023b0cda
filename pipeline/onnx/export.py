"""A trained generator -> an ONNX graph, checked in onnxruntime before it is returned."""

import json
import logging
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch

from pipeline.data.dataset import to_frames
from pipeline.errors import first_line
from pipeline.inference import Model, draw_inputs
from pipeline.onnx import ABOUT, FRAMES, NOISE, TOKENS, Graph, GraphUnfit, to_pixels

MAX_CLIPS = 4096  # per pass of a graph with a dynamic batch size
BATCHES = (1, 2, 3, 5)  # sizes that a graph is tested with
ANY, ONE = "any", "1"  # batch size of a graph; ANY takes twice as long to export

# Errors of torch for generators that it cannot trace are RuntimeErrors; a user's generator may raise the others if the
# batch size is symbolic.
UNTRACEABLE = (RuntimeError, TypeError, ValueError, AttributeError, AssertionError, LookupError)


@dataclass(frozen=True, slots=True)
class Exported:
    """The graph of a generator and its properties; if the export failed, an empty graph and a `fault`."""

    graph: bytes
    batch: str  # ANY or ONE
    grey_levels: int  # the largest difference from torch over all tested pixels
    fault: str = ""


def export_generator(model: Model, *batches: str) -> Exported:
    """The generator as a graph: noise `z` and `token_ids` -> `frames`, with the first of `batches` that works.

    The graph is tested: the pixels of onnxruntime must be within one grey level of 255 of torch's. Its metadata
    identifies the model. Equal models give equal bytes.
    """
    fault = ""
    for batch in batches:
        try:
            graph = _serialise(_trace(model, batch), model, batch)
            return Exported(graph, batch, _try(model, graph, batch))
        except (*UNTRACEABLE, GraphUnfit) as error:
            fault = first_line(error)
    return Exported(b"", "", 0, f"torch.onnx cannot export this generator: {fault}")


def _trace(model: Model, batch: str) -> onnx.ModelProto:
    generator = model.generator
    inputs = draw_inputs(model, 3 if batch == ANY else 1)
    # `torch.export` refuses a generator that fixes the batch size; `torch.onnx.export` alone does not report it.
    clips = torch.export.Dim("batch", min=1, max=MAX_CLIPS) if batch == ANY else None
    shapes = tuple({0: clips} if clips else None for _ in inputs)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch itself, and of missing torchvision
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        generator(*inputs)  # fills caches, so that their computation is not traced
        program = torch.export.export(generator, inputs, dynamic_shapes=shapes)
        exported: Any = torch.onnx.export(
            program, input_names=[NOISE, TOKENS], output_names=[FRAMES], dynamo=True, optimize=True, verbose=False
        )
    proto: onnx.ModelProto = exported.model_proto
    return proto


def _serialise(proto: onnx.ModelProto, model: Model, batch: str) -> bytes:
    """The bytes of a graph, without metadata about the machine and source lines, and with that of the model."""
    graph = proto.graph
    for part in (proto, graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")
    graph.ClearField("value_info")
    if batch == ANY:
        for value in (*graph.input, *graph.output):
            value.type.tensor_type.shape.dim[0].dim_param = "batch"
    proto.metadata_props.add(key=ABOUT, value=json.dumps(model.describe(), sort_keys=True))
    data: bytes = proto.SerializeToString(deterministic=True)
    return data


def _try(model: Model, graph: bytes, batch: str) -> int:
    """The largest difference from torch, run with less padding, in grey levels. Raises GraphUnfit if more than 1."""
    session, largest = Graph(graph), 0
    for count in BATCHES if batch == ANY else (1,):
        z, token_ids = draw_inputs(model, count)
        with torch.inference_mode():
            drawn = to_frames(model.generator(z, token_ids[:, : int((token_ids > 0).sum(dim=1).max())]))
        tried = to_pixels(session.run(token_ids.numpy(), z.numpy()))
        if tried.shape != drawn.shape:
            raise GraphUnfit(f"of {count} clips it returns {list(tried.shape)}, and torch {list(drawn.shape)}")
        largest = max(largest, int(np.abs(tried.astype(np.int16) - drawn).max()))
    if largest > 1:
        raise GraphUnfit(f"clips of onnxruntime differ by {largest} grey levels from those of torch")
    return largest
