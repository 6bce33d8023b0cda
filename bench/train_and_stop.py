"""Trains as the stage `train` does and writes samples at intervals; works with any build of the pipeline.

    python -P bench/train_and_stop.py DATA OUT EVERY_CLIPS

Reads params.yaml of the current folder, DATA after `dvc repro judge`, and OUT/asked.json: sets of samples by name, each
with ids of clips, whose captions are sampled, and a noise seed. At each interval, the model is written to OUT, samples
to OUT/drawn.npz, and a line with the number of training clips and CPU seconds, without the time of evaluation, to
stdout. It continues for each line read from stdin, and ends with its budget or its input. Each build samples its own
models, since another one may not be able to open them.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from pipeline.data.dataset import DataFolders, Dataset, TrainingSplit
from pipeline.data.sampler import draw_noise
from pipeline.inference import Model, sample, save_model, save_vectors
from pipeline.models.networks import TextToVideo
from pipeline.params import Params, load_params
from pipeline.training.loop import NoMonitor, Trainer, build_run, describe_run
from pipeline.training.validation import open_validation_set

try:
    from pipeline.distributed import Rank, parse_devices, set_up
except ImportError:  # builds of before 2026-11-29
    from pipeline.distributed.devices import Rank, parse_devices, set_up  # type: ignore[import-not-found,no-redef]


class Shown(NoMonitor):
    """Samples from the averaged generator at every interval, and waits for a line on stdin."""

    def __init__(self, dataset: Dataset, params: Params, out: Path, every_clips: int) -> None:
        self.sample_clips: int | None = every_clips  # type: ignore[assignment]
        self._dataset, self._params, self._out, self._elsewhere = dataset, params, out, 0.0

    def sample(self, clips_seen: int, generator: TextToVideo) -> None:  # type: ignore[override]
        start = time.process_time()
        params, words = self._params, {"vocabulary": asdict(self._dataset.vocabulary)}
        settings = describe_run(params.seed, params.clip, params.train)
        save_model(self._out, generator, None, settings | words | {"max_tokens": params.tokenize.max_tokens})
        save_vectors(self._dataset.folders.vectors, self._out)
        self._draw()
        print(json.dumps([clips_seen, start - self._elsewhere]), flush=True)
        if not sys.stdin.readline():
            sys.exit()
        self._elsewhere += time.process_time() - start

    def _draw(self) -> None:
        model, asked = Model(self._out), json.loads((self._out / "asked.json").read_bytes())
        drawn = {}
        for name, (ids, seed) in asked.items():
            captions = [model.condition(self._dataset.captions[clip]) for clip in ids]
            drawn[name] = sample(model, captions, draw_noise(seed, len(ids), model.generator.z_width))
        np.savez(self._out / "drawn.npz", **drawn)


def main(data: Path, out: Path, every_clips: int) -> None:
    params = load_params(Path("params.yaml"))
    rank = Rank(0, 1, parse_devices(params.devices)[0])
    set_up(rank.device)
    dataset = Dataset(DataFolders(data / "labels", data / "clips", data / "captions"))
    train = params.train
    split = TrainingSplit(dataset, "train", rank.device, train.captions.conditioning, params.compute.loading, 1)
    run = build_run(dataset, split, params.seed, params.clip, train)
    validation = open_validation_set(params.seed, train, dataset, rank.device, train.batch_clips)
    Trainer(rank, run, split, validation, monitor=Shown(dataset, params, out, every_clips)).train()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))
