"""Stage `export`: the averaged generator -> generator.onnx, for sampling without torch, and a report."""

from pathlib import Path

from pipeline.errors import run
from pipeline.files import atomic_write, write_json
from pipeline.inference import Model
from pipeline.onnx.export import ONE, export_generator
from pipeline.params import SamplingParams, load_params
from pipeline.records import EXPORT_REPORT, GRAPH, SAMPLING


def export_onnx(model: Path, out: Path, sampling: SamplingParams | None = None) -> None:
    """Export the generator. If torch cannot export it, report the reason; `t2v sample` then uses torch.

    With method flow, the graph has the steps and the guidance of `sampling`, and `t2v sample` defaults to them.
    """
    read = Model(model, sampling)
    exported = export_generator(read, ONE)
    if exported.fault:
        (out / GRAPH).unlink(missing_ok=True)
        print(f"export: {exported.fault}; t2v sample uses torch")
    else:
        with atomic_write(out / GRAPH) as temporary:
            temporary.write_bytes(exported.graph)
        size = len(exported.graph) / 1e6
        print(f"export: {GRAPH} of {size:.1f} MB, at most {exported.grey_levels} grey levels from torch")
    report = {"fault": exported.fault, "grey_levels_from_torch": exported.grey_levels}
    write_json(out / EXPORT_REPORT, report | ({SAMPLING: read.sampling()} if read.flow else {}))


def main(model: Path = Path("data/model"), out: Path = Path("data/onnx")) -> None:
    """Export the generator as an ONNX graph."""
    export_onnx(model, out, load_params().sampling)


if __name__ == "__main__":
    run(main)
