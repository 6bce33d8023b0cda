"""The clips of a split with their captions and frames."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from pipeline.data.batches import Batch, Meanings, condition_ids, opposite_ids, pad
from pipeline.data.loading import open_source, send
from pipeline.errors import UserError
from pipeline.params import Conditioning, Loading
from pipeline.records import Caption, Clip, Frames, Split
from pipeline.shards import ShardReader
from pipeline.tables import read_table


class ClipSet:
    """The clips of one split that have both frames and a caption, ready on `device`; `source` gives the frames.

    Raises UserError where the split is empty, or is to lie on the device and does not fit.
    """

    def __init__(
        self,
        labels: Sequence[Clip],
        captions: Sequence[Caption],
        shards: ShardReader,
        split: Split,
        device: torch.device,
        conditioning: Conditioning = "caption",
        loading: Loading = "resident",
        sharers: int = 1,
    ) -> None:
        clips = {clip.id: clip for clip in labels if clip.split == split}
        by_id = {caption.id: caption for caption in captions}
        rows = [row for row, name in enumerate(shards.ids) if name in clips and name in by_id]
        if not rows:
            raise UserError(
                f"no clip of split {split} has frames and a caption; data/*/report.json say where they went"
            )
        self.clips = [clips[shards.ids[row]] for row in rows]
        self.source = open_source(shards, np.array(rows, np.int64), device, loading, sharers)
        heard = [by_id[clip.id] for clip in self.clips]
        turned = opposite_ids(heard, heard) if conditioning == "caption" else [()] * len(heard)
        ids = pad([*(condition_ids(caption, conditioning) for caption in heard), *turned]).to(device)
        self.token_ids, self.opposite_ids = ids[: len(heard)], ids[len(heard) :]  # opposites: zeros where there is none
        self.meanings = Meanings(self.clips, device, conditioning)

    def __len__(self) -> int:
        return len(self.clips)

    def ahead(self, coming: Iterable[NDArray[np.int64]]) -> AbstractContextManager[None]:
        """Within it, frames are read before they are asked for; `coming` are the rows of this rank's batches."""
        return self.source.ahead(coming)

    def batch(self, rows: NDArray[np.int64], z_width: int, share: slice, opposites: float = 0.0) -> Batch:
        """This rank's `share` of the clips at `rows`, with mismatched captions and noise.

        Of the mismatched captions the share `opposites` are the clip's own turned round, where it can be. Randomness is
        drawn for all rows, so that it does not depend on how many ranks there are.
        """
        places = send(torch.from_numpy(rows), self.token_ids.device)
        others, z = self.meanings.others(places)[share], torch.randn(len(rows), z_width, device=places.device)[share]
        mismatched = self.token_ids[others]
        if opposites:
            turned = self.opposite_ids[places[share]]
            chosen = (torch.rand(len(rows), device=places.device)[share] < opposites) & turned.any(dim=1)
            mismatched = torch.where(chosen[:, None], turned, mismatched)
        return Batch(self.source.take(rows[share]), self.token_ids[places[share]], mismatched, z)


class Material:
    """The clips that have frames and a caption. A row is a window of a video, so clips may come several times."""

    def __init__(self, labels: Path, clips: Path, captions: Path) -> None:
        self.shards = ShardReader(clips)
        self.captions = {caption.id: caption for caption in read_table(captions / "captions.parquet", Caption)}
        labelled = {clip.id: clip for clip in read_table(labels / "clips.parquet", Clip)}
        self._clips = [labelled.get(name) if name in self.captions else None for name in self.shards.ids]

    def rows(self, split: Split, most: int) -> list[int]:
        """The rows of a split in order; of more than `most`, so many spread evenly over it."""
        rows = [row for row, clip in enumerate(self._clips) if clip is not None and clip.split == split]
        if len(rows) <= most:
            return rows
        return [rows[place] for place in np.linspace(0, len(rows) - 1, most).round().astype(int)]

    def clips(self, rows: Sequence[int]) -> list[Clip]:
        """What is known of these rows."""
        return [clip for row in rows if (clip := self._clips[row]) is not None]

    def frames(self, rows: Sequence[int]) -> Frames:
        """uint8 [N,T,H,W,3]."""
        return self.shards.frames(rows)


def read_vectors(path: Path) -> Tensor | None:
    """The given vectors of the vocabulary [V,D]; None where there is no such file, since they are learned."""
    try:
        return load_file(path)["vectors"]
    except FileNotFoundError:
        return None
    except (SafetensorError, KeyError) as error:
        raise UserError(f"{path}: not a file of word vectors ({error}); `dvc repro` makes it anew") from None
