"""Requests for clips: their limits, and a renderer that draws one at a time, with a bounded queue."""

import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs

from pipeline.errors import UserError, first_line
from pipeline.rendering.export import ENDINGS
from pipeline.sampling import TypedCaption, VideoModel, write_clips
from pipeline.video.ffmpeg import FfmpegError

MOST_LETTERS = 1000  # of a caption
MOST_CLIPS = 16
LARGEST_SEED = 2**53 - 1  # the largest whole number that a browser's scripts know
FIELDS = ("caption", "seed", "n")

QUEUE = 64  # requests that wait for their turn or are drawn
PATIENCE = 30.0  # seconds that one waits for its turn

SCALE, FPS = 4, 8


class Refused(Exception):
    """A request that is answered with this HTTP status and one line."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class ClipsRequest:
    """Clips that someone asks for."""

    caption: str
    seed: int
    count: int


def parse_request(query: str) -> ClipsRequest:
    """The fields of a query: `caption`, and `seed` and `n` where they are given. Raises Refused."""
    try:
        fields = parse_qs(query, keep_blank_values=True, max_num_fields=len(FIELDS), errors="strict")
    except ValueError:  # too many fields, or no UTF-8
        raise Refused(400, f"the query holds {', '.join(FIELDS)}, once each, as UTF-8") from None
    if set(fields) - set(FIELDS) or any(len(values) > 1 for values in fields.values()):
        raise Refused(400, f"the query holds {', '.join(FIELDS)}, once each, and nothing else")
    caption = fields.get("caption", [""])[0]
    if not caption.strip():
        raise Refused(400, "the query has no caption")
    if len(caption) > MOST_LETTERS:
        raise Refused(400, f"the caption has {len(caption):,} letters; at most {MOST_LETTERS:,} are read")
    seed = _parse_number("seed", fields.get("seed", ["0"])[0], 0, LARGEST_SEED)
    return ClipsRequest(caption, seed, _parse_number("n", fields.get("n", ["1"])[0], 1, MOST_CLIPS))


def _parse_number(name: str, text: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20 and least <= int(text) <= most):
        raise Refused(400, f"{name} is a whole number from {least} to {most:,}")
    return int(text)


class ClipRenderer:
    """Draws clips of one model for many at once: one after another, and nobody waits without end."""

    def __init__(self, model: VideoModel, queue: int = QUEUE, patience: float = PATIENCE) -> None:
        self._model, self._patience = model, patience
        self._places, self._turn = threading.BoundedSemaphore(queue), threading.Lock()

    def encode(self, request: ClipsRequest) -> TypedCaption:
        """The caption in the words of the model. Raises Refused where it knows none of them."""
        try:
            return self._model.encode(request.caption)
        except UserError as error:
            raise Refused(400, first_line(error)) from None

    def render(self, request: ClipsRequest, ending: str) -> bytes:
        """The clips as a file of this kind. Raises Refused where it cannot be drawn, or not now."""
        if ending not in ENDINGS:
            raise Refused(404, f"clips come as {', '.join(ENDINGS)}")
        typed = self.encode(request)
        if not self._places.acquire(blocking=False):
            raise Refused(503, "too many ask at once; try again in a few seconds")
        try:
            if not self._turn.acquire(timeout=self._patience):
                raise Refused(503, f"others were drawn for {self._patience:g} seconds; try again later")
            try:
                return self._draw(request, typed, ending)
            finally:
                self._turn.release()
        except UserError:
            raise Refused(500, "the model draws no clip; the server's owner can tell why by `t2v sample`") from None
        except (FfmpegError, OSError):
            raise Refused(500, "the clips could not be written; the server's disk may be full") from None
        finally:
            self._places.release()

    def _draw(self, request: ClipsRequest, typed: TypedCaption, ending: str) -> bytes:
        frames = self._model.draw(typed, request.seed, request.count)
        provenance = self._model.provenance(typed)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, f"clips{ending}")
            write_clips(path, frames, request.caption, request.seed, scale=SCALE, fps=FPS, provenance=provenance)
            return path.read_bytes()
