"""What Envoy tells about one exchange, and what is told to Envoy: plain data, no protobuf."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from extproc.model import Headers


class Direction(Enum):
    REQUEST = "request"
    RESPONSE = "response"


@dataclass(frozen=True, slots=True)
class HeadersArrived:
    """`end`: no body and no trailers follow. `route` and `source` come from Envoy's attributes, not from the client."""

    direction: Direction
    headers: Headers
    end: bool
    route: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class BodyArrived:
    """`end` is False on the last chunk where trailers follow."""

    direction: Direction
    data: bytes
    end: bool


@dataclass(frozen=True, slots=True)
class TrailersArrived:
    direction: Direction
    trailers: Headers


Event = HeadersArrived | BodyArrived | TrailersArrived

Pairs = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class PassHeaders:
    """Let the headers go on, with `put` set (replacing every header of these names) and `remove` taken out."""

    direction: Direction
    put: Pairs = ()
    remove: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class PassBody:
    direction: Direction
    data: bytes
    end: bool


@dataclass(frozen=True, slots=True)
class PassTrailers:
    direction: Direction
    put: Pairs = ()
    remove: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer the client; the upstream gets nothing (more)."""

    status: int
    headers: Pairs
    body: bytes
    detail: str  # fixed text: it reaches Envoy's access log


@dataclass(frozen=True, slots=True)
class ExtendTimeout:
    """One override of Envoy's message timeout, in seconds; honoured once and only on a headers-only direction."""

    seconds: float


Command = PassHeaders | PassBody | PassTrailers | Answer | ExtendTimeout
