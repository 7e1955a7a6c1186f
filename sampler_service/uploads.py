"""Copies from the host to a device that nobody waits for."""

import torch
from torch import Tensor


def pin(values: Tensor, device: torch.device) -> Tensor:
    """Return a copy that the device's copy engine can read by itself; kept until it has.

    On a processor the values themselves.
    """
    return values.pin_memory() if device.type == "cuda" and values.numel() else values


def send(values: Tensor, device: torch.device) -> Tensor:
    """Return values on a device, behind the work that is queued there."""
    return pin(values, device).to(device, non_blocking=True)


class SideStream:
    """Copies beside the work that is queued on a device.

    Args:
        device: To copy to; on a processor nothing is copied.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream: torch.cuda.Stream | None = None
        if device.type == "cuda":
            self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call] # torch's

    def send(self, values: Tensor) -> Tensor:
        """Return values on the device; work that is queued from now on may use them."""
        if self._stream is None:
            return send(values, self._device)
        with torch.cuda.stream(self._stream):
            copied = send(values, self._device)
        queue = torch.cuda.current_stream(self._device)
        queue.wait_stream(self._stream)
        copied.record_stream(queue)
        return copied
