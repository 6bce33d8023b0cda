"""Reading the provenance that `export_samples` puts into files, in the way of other programs."""

import json
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image


def read_provenance(path: Path) -> Any:
    """What a png, gif, mp4 or npz says of how it was made."""
    ending = path.suffix.lower()
    if ending == ".npz":
        with np.load(path, allow_pickle=False) as archive:
            text = str(archive["provenance"])
    elif ending == ".mp4":
        with av.open(str(path)) as container:
            text = container.metadata["comment"]
    else:
        with Image.open(path) as image:
            comment = image.info.get("Comment") or image.info["comment"]
        text = comment.decode("utf-8") if isinstance(comment, bytes) else comment
    return json.loads(text)
