"""What an answer says, piece by piece: text of a channel, or a call."""

from dataclasses import dataclass
from enum import Enum, auto

from gateway.tools import ToolKind


class Channel(Enum):
    """Where a text belongs."""

    CONTENT = auto()
    REFUSAL = auto()
    REASONING = auto()


@dataclass(frozen=True)
class Said:
    """Further text of a channel."""

    channel: Channel
    text: str


@dataclass(frozen=True)
class CallBegun:
    """The call of this number, from 0; its input follows."""

    call: int
    name: str
    kind: ToolKind


@dataclass(frozen=True)
class CallInput:
    """Further text of the input of a call."""

    call: int
    text: str


Event = Said | CallBegun | CallInput
