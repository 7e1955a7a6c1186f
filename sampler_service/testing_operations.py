"""A look at what torch is asked to do, for tests."""

from collections.abc import Callable, Mapping, Sequence

from torch.utils._python_dispatch import TorchDispatchMode


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch's
    """Shows every operation of a block, as it is done.

    Args:
        see: Told the operation, its keyword arguments and its result.
    """

    def __init__(self, see: Callable[[object, Mapping[str, object], object], None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # torch's
        self._see = see

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Do an operation, then show it."""
        made = func(*args, **(kwargs or {}))
        self._see(func, kwargs or {}, made)
        return made
