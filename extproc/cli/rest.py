"""The control process's REST interface, for commands. A person's token comes from a variable or a file, never argv."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import click
import httpx

from extproc import hosts
from extproc.cli.show import visible
from extproc.config import load

TOKEN_VARIABLE: Final = "EXTPROC_TOKEN"  # noqa: S105 - a name
_TIMEOUT: Final = httpx.Timeout(10.0, read=40.0)  # seconds; an answer about events may take 25


class Refused(click.ClickException):
    """The answer was no: exit code 1."""

    exit_code = 1


class Unreachable(Refused):
    """No answer came."""


class Client:
    """`get` and `post` give JSON objects. Raise `Refused`, whose text is fit for a terminal."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        self._http = httpx.Client(
            base_url=url,
            headers={"authorization": f"Bearer {token}"},
            timeout=_TIMEOUT,
            follow_redirects=False,
            trust_env=not is_loopback(url),
            transport=transport,
        )

    @classmethod
    def made(cls, path: Path, url: str | None, token_file: Path | None) -> Self:
        """From a command's options. Raises `click.UsageError` or `ConfigError` (exit code 2)."""
        if url is None:
            config = load(path)
            url = config.control.public_url or f"http://{config.control.listen}"
        if urlsplit(url).scheme not in ("http", "https"):
            raise click.UsageError("--url: expected http:// or https://")
        return cls(url, read_token(token_file))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.close()

    def get(self, path: str, query: dict[str, str] | None = None) -> dict[str, Any]:
        return self._ask("GET", path, params=query)

    def post(self, path: str, document: dict[str, Any]) -> dict[str, Any]:
        return self._ask("POST", path, json=document)

    def _ask(self, method: str, path: str, **what: Any) -> dict[str, Any]:
        try:
            answer = self._http.request(method, path, **what)
        except httpx.HTTPError as error:
            raise Unreachable(f"no answer from {visible(str(self._http.base_url))}: {type(error).__name__}") from None
        try:
            document = answer.json()
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise Refused(f"status {answer.status_code}, and not the answer of a control process")
        if not answer.is_success:
            code = str(document.get("type", "")).rpartition(":")[2]
            raise Refused(visible(f"{code or answer.status_code}: {document.get('title', 'refused')}"))
        return document


def read_token(token_file: Path | None) -> str:
    """Raises `click.UsageError`."""
    if token_file is None:
        token = os.environ.get(TOKEN_VARIABLE, "")
    else:
        try:
            token = token_file.read_text()
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or "not text"
            raise click.UsageError(f"--token-file: {visible(str(token_file))}: {reason}") from None
    token = token.strip()
    if not token:
        raise click.UsageError(f"a person's token is needed, in {TOKEN_VARIABLE} or in a file that --token-file names")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise click.UsageError("the token is not one line of plain text")
    return token


def is_loopback(url: str) -> bool:
    """No proxy of the environment stands between us and this very machine."""
    host = urlsplit(url).hostname or ""
    return hosts.is_loopback(host) or host.endswith(".localhost")
