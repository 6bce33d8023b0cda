"""Weights of `transformers` folders that are not what they should be."""

from pathlib import Path

from safetensors import SafetensorError, safe_open

from pipeline.errors import UserError

QUANTISED = {"I8", "U8", "F8_E4M3", "F8_E5M2"}  # types in safetensors that need scales besides


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
