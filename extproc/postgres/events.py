"""What a relay tells of one connection, and what it is told to do: plain data, no sockets."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from extproc.identity.base import PeerCertificate
from extproc.model import JSON
from extproc.postgres.reading import Reading


class Side(Enum):
    CLIENT = "client"
    SERVER = "server"
    BOTH = "both"


@dataclass(frozen=True, slots=True)
class Receive:
    """The connection needs bytes of that side. Result: `ClientSent`, `ServerSent` or `ServerClosed`."""

    side: Side


@dataclass(frozen=True, slots=True)
class ClientSent:
    data: bytes


@dataclass(frozen=True, slots=True)
class ServerSent:
    data: bytes


@dataclass(frozen=True, slots=True)
class ServerClosed:
    """The server has ended the connection. A client that ends it closes the generator instead."""


@dataclass(frozen=True, slots=True)
class ToClient:
    data: bytes


@dataclass(frozen=True, slots=True)
class ToServer:
    data: bytes


@dataclass(frozen=True, slots=True)
class CancelServer:
    """Ask the server to cancel what it runs (CancelRequest on a connection of its own); does not wait."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """From now on the server has so many seconds for what it runs, then it is asked to cancel it; None: no more."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Connect:
    """
    Open the upstream connection and log in with that credential. Result: `Connected`.

    Raises `Refusal` (upstream_unavailable, credential_unavailable).
    """

    credential: str
    parameters: tuple[tuple[str, str], ...]  # of the startup message, beside user and database
    number: int  # of the connection in its session


@dataclass(frozen=True, slots=True)
class Connected:
    """A server that waits for a query. `parameters` are its ParameterStatus; `key` is what cancels our connection."""

    user: str
    parameters: dict[str, str]
    process: int
    key: bytes


@dataclass(frozen=True, slots=True)
class ReadCatalog:
    """Look at what the database holds, on the idle server connection. Result: `Reading`, the same one if unchanged."""

    in_transaction: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """
    What is known of a client once its startup message is there. `certificate` is one that TLS has verified.

    `source` is the address that Envoy saw, `tls` the version ("" for none).
    """

    version: tuple[int, int]
    parameters: dict[str, str]
    source: str
    tls: str = ""
    certificate: PeerCertificate | None = None
    about: dict[str, JSON] = field(default_factory=dict)


Event = ClientSent | ServerSent | ServerClosed
Command = ToClient | ToServer | CancelServer | Deadline
Result = Event | Connected | Reading | None
