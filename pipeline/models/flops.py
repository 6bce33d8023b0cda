"""Floating-point operations of matrix products and convolutions, counted while they run."""

from collections.abc import Callable
from typing import Any, TypeVar

from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Result = TypeVar("Result")


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts, within its block, the floating-point operations of matrix products and convolutions.

    By torch's own formulas. Its `FlopCounterMode` also follows modules through backward passes, and there fails where a
    gradient is taken in the course of a loss, as penalties do.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.counted = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.counted += formula(*args, **(kwargs or {}), out_val=result)
        return result


def step_flops(step: Callable[[], object]) -> int:
    """Floating-point operations of the matrix products and convolutions in one call, backward passes included.

    The call is a real one and computes to the bit what it always does, unless it is compiled: then it runs uncompiled.
    """
    return count_flops(step)[1]


def count_flops(step: Callable[[], Result]) -> tuple[Result, int]:
    """What `step` returns, and its floating-point operations as `step_flops` has them."""
    with Operations() as operations:
        result = step()
    return result, operations.counted
