"""The comment that `encode_frames` put into a file."""

from pathlib import Path

import av

from pipeline.video.limits import CONTAINERS, DecodeError


def read_comment(path: Path) -> str | None:
    """The comment tag of a video file; None where there is none. Raises DecodeError."""
    options = {"protocol_whitelist": "file", "format_whitelist": CONTAINERS}
    try:
        with av.open(f"file:{path}", options=options, metadata_errors="replace") as container:
            return container.metadata.get("comment")
    except av.FFmpegError as error:
        raise DecodeError(error.strerror) from None
