"""Which FFmpeg decodes videos here: the libraries inside PyAV, and the program inside imageio-ffmpeg."""

import subprocess

import av

from pipeline.errors import UserError
from pipeline.video.ffmpeg import executable


def read_library_version() -> str:
    """Of the libraries that `transcode.decoder: in_process` uses."""
    return str(av.ffmpeg_version_info)


def read_program_version() -> str:
    """Of the program. Raises UserError where it does not run."""
    try:
        answer = subprocess.run([executable(), "-version"], capture_output=True, text=True, check=True, timeout=60)
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        raise UserError(f"the ffmpeg in imageio-ffmpeg does not run ({error}); install imageio-ffmpeg anew") from None
    return answer.stdout.split()[2]
