"""The texts that stand in extproc.yaml, each checked: names, addresses, URLs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, Final, Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from extproc.hosts import is_ip
from extproc.identity.subjects import is_subject

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_HOST = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ADDRESS = re.compile(r"(?P<host>\[[0-9a-f:]+\]|[0-9a-zA-Z.-]+):(?P<port>[0-9]{1,5})")
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
IDENTIFIER: Final = 63  # bytes of a name that PostgreSQL keeps (its documentation, 4.1.1)
SOCKET_PATH: Final = 107  # bytes of a unix socket's path (unix(7))
METHODS = frozenset(
    {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "MKCOL", "QUERY"}
)


class Section(BaseModel):
    """What every part of the file is: no unknown fields, no values of another type, nothing that changes later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("expected a name of lower-case letters, digits and dashes, at most 63 characters")
    return value


def _host(value: str) -> str:
    if not _HOST.fullmatch(value):
        raise ValueError("expected a host name in lower case, without port, like customers.localhost")
    return value


def _address(value: str) -> str:
    match = _ADDRESS.fullmatch(value)
    if match is None or not 0 < int(match["port"]) < 65536:
        raise ValueError("expected host:port, like 127.0.0.1:8080")
    return value


def _origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
        raise ValueError("expected scheme://host or scheme://host:port, with http or https and no path")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("expected scheme://host:port and nothing else; credentials have a section of their own")
    if parts.port == 0:
        raise ValueError("expected a port between 1 and 65535")
    return value.rstrip("/")


def _issuer(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected the issuer's URL, exactly as in its tokens' `iss`")
    return value


def _method(value: str) -> str:
    if value not in METHODS:
        raise ValueError(f"expected one of {', '.join(sorted(METHODS))} (CONNECT and TRACE are never open)")
    return value


def _header(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("expected the name of a header")
    return value.lower()


def _subject(value: str) -> str:
    if not is_subject(value):
        raise ValueError("expected spiffe://domain/path, dns:name in lower case, or cn:name")
    return value


def _identifier(value: str) -> str:
    if not 0 < len(value.encode(errors="surrogatepass")) <= IDENTIFIER or not value.isprintable():
        raise ValueError(f"expected a name of PostgreSQL's, at most {IDENTIFIER} bytes")
    return value


# --- databases


@dataclass(frozen=True, slots=True)
class Database:
    """Where a database is: behind `host` and `port`, or behind the socket `.s.PGSQL.<port>` in `socket_dir`."""

    host: str
    socket_dir: str
    port: int
    name: str


def database(url: str) -> Database:
    """
    Read `postgres://host:port/database`, or `postgres:///database?host=/folder/of/the/socket`.

    As libpq reads it (PostgreSQL documentation, 34.1.1.2), but one host, no login, and no other parameter.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        given = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        name = unquote(parts.path.removeprefix("/"), errors="strict")
    except ValueError:
        raise ValueError(_UPSTREAM) from None
    if parts.username is not None or parts.password is not None:
        raise ValueError("expected no user and no password here; credentials have a section of their own")
    if parts.scheme not in ("postgres", "postgresql") or parts.fragment or "/" in parts.path.removeprefix("/"):
        raise ValueError(_UPSTREAM)
    _identifier(name)
    if host:
        if given or not (_HOST.fullmatch(host) or is_ip(host)) or port == 0:
            raise ValueError(_UPSTREAM)
        return Database(host, "", port or 5432, name)
    return _by_socket(dict(given), name, whole=len(given) == len(dict(given)) and not parts.netloc)


_UPSTREAM = "expected postgres://host:port/database or postgres:///database?host=/folder/of/the/socket"


def _by_socket(given: dict[str, str], name: str, *, whole: bool) -> Database:
    folder, port = given.pop("host", ""), given.pop("port", "5432")
    if given or not whole or not folder.startswith("/") or not folder.isprintable():
        raise ValueError(_UPSTREAM)
    if not re.fullmatch(r"[1-9][0-9]{0,4}", port) or int(port) > 65535:
        raise ValueError("expected a port between 1 and 65535")
    if len(str(PurePosixPath(folder) / f".s.PGSQL.{port}").encode()) > SOCKET_PATH:
        raise ValueError(f"expected a socket whose path is at most {SOCKET_PATH} bytes long")
    return Database("", folder, int(port), name)


def _database(value: str) -> str:
    database(value)
    return value


Name = Annotated[str, AfterValidator(_name)]
Host = Annotated[str, AfterValidator(_host)]
Address = Annotated[str, AfterValidator(_address)]
Origin = Annotated[str, AfterValidator(_origin)]
IssuerUrl = Annotated[str, AfterValidator(_issuer)]
Method = Annotated[str, AfterValidator(_method)]
Header = Annotated[str, AfterValidator(_header)]
Subject = Annotated[str, AfterValidator(_subject)]
Identifier = Annotated[str, AfterValidator(_identifier)]
DatabaseUrl = Annotated[str, AfterValidator(_database)]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Level = Literal["full", "redacted", "metadata"]


def unique(what: str, values: list[str]) -> None:
    twice = sorted({value for value in values if values.count(value) > 1})
    if twice:
        raise ValueError(f"expected every {what} once; {twice[0]} stands twice")
