"""Files of `transformers` folders that are not what they should be."""

from collections.abc import Iterable
from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.errors import UserError
from pipeline.files import read_json_object, refuse_lfs_pointer

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
MARKS = (b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")  # of UTF-8 and UTF-16
QUANTISED = {"I8", "U8", "F8_E4M3", "F8_E5M2"}  # types in safetensors that need scales besides


def check_contents(files: Iterable[Path]) -> None:
    """Raise UserError for pointers of Git LFS, and for JSON that the library cannot read because of its encoding."""
    for path in files:
        refuse_lfs_pointer(path)
        with path.open("rb") as file:
            start = file.read(3)
        if path.suffix == ".json" and start.startswith(MARKS):
            way = "save it as UTF-8 without one, or fetch it again"
            raise UserError(f"{path}: begins with a byte order mark, which transformers does not read; {way}")


def check_weights(folder: Path) -> None:
    """Raise UserError unless there is `model.safetensors`, or all files that its index names."""
    if (folder / WEIGHTS).is_file():
        return
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if not found:
        raise UserError(f"{folder}: holds no {WEIGHTS}; fetch it, or save the model again with save_pretrained")
    if not (folder / INDEX).is_file():
        way = f"fetch {INDEX}, too" if len(found) > 1 else f"rename it to {WEIGHTS} if these are all weights"
        raise UserError(f"{folder}: holds {', '.join(found[:3])}, but no {WEIGHTS}; {way}")
    named = read_json_object(folder / INDEX, "fetch it again").get("weight_map")
    parts = sorted({str(file) for file in named.values()}) if isinstance(named, dict) else []
    if not parts:
        raise UserError(f"{folder / INDEX}: names no files of weights; fetch it again")
    if lacking := [part for part in parts if not (folder / part).is_file()]:
        raise UserError(f"{folder / lacking[0]}: no such file, but {INDEX} names it; fetch it, too")


def list_faults() -> tuple[type[Exception], ...]:
    """What the library raises for files that are not what they should be."""
    from huggingface_hub.errors import StrictDataclassError  # of a package that the library brings along

    values = (ValueError, LookupError, ArithmeticError, AttributeError, TypeError)  # in config.json
    return (OSError, RuntimeError, SafetensorError, StrictDataclassError, *values)


def refuse_quantised(folder: Path) -> None:
    """Raise UserError if weights are whole numbers or 8-bit floats, which the library takes for the values."""
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            kinds = {name: file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118  not a dict
        if name := next((name for name, kind in kinds.items() if kind in QUANTISED), None):
            raise UserError(f"{path}: {name} is quantised ({kinds[name]}); fetch the weights in float32 or 16 bits")
