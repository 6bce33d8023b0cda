"""The files of a model: in the folder that `train` writes, or in one that `t2v export` writes."""

from dataclasses import dataclass
from pathlib import Path

from pipeline.records import VECTORS

GENERATOR, DISCRIMINATOR, DESCRIPTION = "generator.safetensors", "discriminator.safetensors", "model.json"
EXPORTED_GENERATOR, EXPORTED_DESCRIPTION = "model.safetensors", "config.json"  # as the Hugging Face hub names them
PROVENANCE = "provenance.json"  # what made a model, or an evaluation
GRAPH = "generator.onnx"
GRAPHS = "onnx"  # the folder beside that of a model which the stage `export` writes


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Where the parts of a generator are; that a file is named does not say that it exists."""

    weights: Path
    description: Path
    vectors: Path  # of words; absent where the generator has learned them
    graph: Path  # the same generator as ONNX; may be absent


def find_model_files(folder: Path) -> ModelFiles:
    """The files of the model in a folder: of an exported one where it holds a config.json."""
    if (folder / EXPORTED_DESCRIPTION).exists():
        weights, description, graph = EXPORTED_GENERATOR, EXPORTED_DESCRIPTION, folder / GRAPH
    else:
        weights, description, graph = GENERATOR, DESCRIPTION, folder.absolute().parent / GRAPHS / GRAPH
    return ModelFiles(folder / weights, folder / description, folder / VECTORS, graph)
