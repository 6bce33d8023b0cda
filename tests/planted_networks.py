"""A child whose network has taken it over, as it were, and that answers questions by one attempt.

Each attempt is harmless, and aimed at something that the test itself has planted.
"""

import math
import os
import signal
import socket
import struct
import time
from collections.abc import Mapping
from pathlib import Path

from pipeline.compute.child import Failure, Work
from pipeline.pretrained import NetworkFunction, Question


class OwnedNetwork(NetworkFunction):
    """Answers every question by an attempt."""

    attempt = ""
    secret = ""

    def __reduce__(self):
        return take_over, (self.name, self.path, self.attempt, self.secret)

    def work(self, task: Question, item: str, _failures: Mapping[str, Failure], _scratch: str) -> Work:
        yield item
        if not task.rows:
            return "", ()
        values = [0.0] * task.rows * 3
        if self.attempt == "read_secret":
            values = [float(byte) for byte in Path(self.secret).read_bytes()]
        elif self.attempt == "connect":
            socket.create_connection(("127.0.0.1", 9), 1).close()
        elif self.attempt == "die":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.attempt == "hang":
            time.sleep(60)
        elif self.attempt == "answer_no_numbers":
            values[1] = math.nan
        content = struct.pack(f"{len(values)}d", *values)
        return "", (memoryview(content[: -3 if self.attempt == "answer_too_little" else None]),)


def take_over(name, path, attempt, secret):
    owned = OwnedNetwork(name, path, 1)
    owned.attempt, owned.secret = attempt, secret
    return owned
