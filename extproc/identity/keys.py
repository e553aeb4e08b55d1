"""An issuer's keys over HTTP: discovery (OpenID Connect Discovery 1.0, 4) and the JWKS it names."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from extproc.errors import Refusal
from extproc.hosts import is_loopback
from extproc.identity.oidc import DEVELOPMENT_CLAIM, OidcVerifier

_TIMEOUT: Final = 5.0  # seconds for one step: connecting, a piece of an answer
_DEADLINE: Final = 10.0  # seconds for a whole refresh: an issuer that drips its answer stays under every step's timeout
_FAILURE_PAUSE: Final = 2.0  # seconds after a failed fetch in which nobody's request causes another
_MAX_ANSWER: Final = 1 << 20  # bytes
_REFRESH: Final = 600.0  # seconds

log = logging.getLogger("extproc.identity")


class _Unfit(Exception):  # noqa: N818
    """An issuer's answer that must not be used; the text says why."""


class HttpKeyFetcher:
    """
    Performs `FetchKeys`. One fetch an issuer at a time; whoever asks meanwhile waits for it.

    However many ask, an issuer is asked once in `FETCH_PAUSE` seconds (`_FAILURE_PAUSE` after a failure).
    """

    def __init__(self, verifier: OidcVerifier) -> None:
        self._verifier = verifier
        self._running: dict[str, asyncio.Task[bool]] = {}
        self._failed_at: dict[str, float] = {}

    async def fetch(self, issuer: str, kid: str) -> None:  # noqa: ARG002 - all keys come at once
        """Raises `Refusal("identity_unavailable")`."""
        if issuer not in self._running:
            if self._verifier.answered_lately(issuer):
                return  # the fetch that this one would have joined has just ended
            if time.monotonic() - self._failed_at.get(issuer, float("-inf")) < _FAILURE_PAUSE:
                raise Refusal("identity_unavailable", retry_after=int(_FAILURE_PAUSE))
        if not await self._joined(issuer):
            raise Refusal("identity_unavailable", retry_after=int(_FAILURE_PAUSE))

    async def refresh_forever(self) -> None:
        """Keep keys fresh, so that a rotation costs no request anything. Old keys stay where a refresh fails."""
        while True:
            for issuer in self._verifier.issuers:
                await self._joined(issuer)
            await asyncio.sleep(_REFRESH)

    async def _joined(self, issuer: str) -> bool:
        """Wait for the issuer's refresh, begun where none runs; whoever leaves does not end it. True with keys."""
        task = self._running.get(issuer)
        if task is None:
            task = asyncio.create_task(self._attempt(issuer))
            self._running[issuer] = task
            task.add_done_callback(lambda _: self._running.pop(issuer, None))
        return await asyncio.shield(task)

    async def _attempt(self, issuer: str) -> bool:
        """Never raises: an issuer's answer can hold anything, and nobody may be left who takes what is raised."""
        try:
            async with asyncio.timeout(_DEADLINE):
                await self._refresh(issuer)
        except Exception as error:
            self._failed_at[issuer] = time.monotonic()
            why = str(error) if isinstance(error, _Unfit) else type(error).__name__
            log.warning("keys not fetched: %s", why, extra={"issuer": issuer})
            return False
        self._failed_at.pop(issuer, None)
        return True

    async def _refresh(self, issuer: str) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            discovery = await self._get(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
            if discovery.get("issuer") != issuer:
                raise _Unfit("the discovery document names another issuer")
            if discovery.get(DEVELOPMENT_CLAIM) and not self._verifier.development:
                raise _Unfit("a development issuer is accepted only where development is on")
            keys_at = discovery.get("jwks_uri")
            if not isinstance(keys_at, str):
                raise _Unfit("the discovery document names no jwks_uri")
            if urlsplit(issuer).scheme == "https" and urlsplit(keys_at).scheme != "https":
                raise _Unfit("expected https for the keys of an issuer with https")
            jwks = await self._get(client, keys_at)
        if not isinstance(jwks.get("keys"), list):
            raise _Unfit("the JWKS has no keys")
        self._verifier.set_keys(issuer, jwks)

    async def _get(self, client: httpx.AsyncClient, url: str) -> dict[str, Any]:
        if not _trusted(url, development=self._verifier.development):
            raise _Unfit("expected https (http only on loopback, where development is on)")
        async with client.stream("GET", url) as answer:
            if answer.status_code != 200:
                raise _Unfit(f"status {answer.status_code}")
            body = b""
            async for piece in answer.aiter_bytes():
                body += piece
                if len(body) > _MAX_ANSWER:
                    raise _Unfit("the answer is too large")
        document = orjson.loads(body)
        if not isinstance(document, dict):
            raise _Unfit("the answer is no JSON object")
        return document


def _trusted(url: str, *, development: bool) -> bool:
    """Keys over plain HTTP could be anybody's: on this very machine, any of its users'. Raises `ValueError`: no URL."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or not parts.hostname or not development:
        return False
    return is_loopback(parts.hostname)
