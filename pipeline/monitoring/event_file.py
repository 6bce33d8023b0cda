"""An event file of TensorBoard.

Written by the calling thread: torch's SummaryWriter writes in a thread of its own, which ends with a traceback if the
disk is full, and up to two minutes late.
"""

import os
import socket
import time
from pathlib import Path

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.record_writer import RecordWriter

from pipeline.errors import naming

VERSION = "brain.Event:2"


class EventFile:
    """A new event file in `folder`; it hides the events from `first_step` on of the older files there."""

    def __init__(self, folder: Path, first_step: int) -> None:
        # TensorBoard reads the files of a folder in the order of their names.
        name = f"events.out.tfevents.{int(time.time()):010}.{socket.gethostname()}.{os.getpid()}"
        self._path = folder / name
        self._append(Event(step=first_step, file_version=VERSION))
        self._append(Event(step=first_step, session_log=SessionLog(status=SessionLog.START)))

    def write(self, step: int, summary: Summary) -> None:
        """Append values; raises OSError with the name of the file."""
        self._append(Event(step=step, summary=summary))

    def _append(self, event: Event) -> None:
        event.wall_time = time.time()
        with naming(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)  # again, if the folder was removed during the run
            with self._path.open("ab") as file:
                RecordWriter(file).write(event.SerializeToString())
