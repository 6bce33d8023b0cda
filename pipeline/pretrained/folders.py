"""Networks in folders of `transformers`: config.json, model.safetensors, preprocessor_config.json."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from pipeline.errors import UserError, first_line
from pipeline.files import digest_file, digest_value

DIGESTED = ("*.json", "*.txt", "*.safetensors")


def library() -> Any:
    """The package `transformers`, which takes seconds to load. Raises UserError where it is not installed."""
    try:
        import transformers
    except ImportError:
        raise UserError(
            "the networks in evaluate.pretrained.weights need transformers; pip install -c constraints.txt "
            "'.[pretrained]', or take them out of that folder"
        ) from None
    transformers.utils.logging.set_verbosity_error()  # what it warns of is looked for below
    transformers.utils.logging.disable_progress_bar()
    return transformers


def open_network(folder: Path, kind: str, name: str, device: torch.device) -> Any:
    """The network of a folder in float32: `name`ForVideoClassification, less its last layer, or `name`Model.

    Raises UserError where the folder holds another kind, or weights that are damaged or do not fit. Nothing is fetched
    and nothing unpickled.
    """
    config = _read_config(folder, kind)
    classifies = f"{name}ForVideoClassification" in (config.get("architectures") or ())
    network_class = getattr(library(), f"{name}ForVideoClassification" if classifies else f"{name}Model")
    if not any(folder.glob("*.safetensors")):
        raise UserError(f"{folder}: holds no model.safetensors; fetch it, or save the model anew with save_pretrained")
    try:
        network, report = network_class.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            ignore_mismatched_sizes=True,
        )
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder}: not the {name} that its config.json describes ({first_line(error)})") from None
    # The library would fill these with noise and go on.
    if lacking := sorted({*report["missing_keys"], *(key for key, *_ in report["mismatched_keys"])}):
        told = f"{len(lacking)} of the weights of the {name} in config.json, {lacking[0]} among them"
        raise UserError(f"{folder}: model.safetensors lacks {told}, or has them in other sizes; fetch both anew")
    if classifies:
        network.classifier = torch.nn.Identity()
    return network.to(device).eval().requires_grad_(False)


def _read_config(folder: Path, kind: str) -> dict[str, Any]:
    path = folder / "config.json"
    if not folder.is_dir():
        raise UserError(f"{folder}: a file; make it a folder with config.json, model.safetensors and what lies beside")
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder}: holds no config.json; fetch all of the folder, not the weights alone") from None
    except ValueError as error:
        raise UserError(f"{path}: not JSON ({error}); fetch it again") from None
    found = config.get("model_type") if isinstance(config, dict) else None
    if found != kind:
        raise UserError(f"{path}: describes a network of the kind {found}, where {kind} is expected")
    return dict(config)


def digest_folder(folder: Path) -> str:
    """SHA-256 over the files that make up a network; others may lie beside them."""
    files = sorted({path for pattern in DIGESTED for path in folder.glob(pattern)})
    return digest_value({path.name: digest_file(path) for path in files})
