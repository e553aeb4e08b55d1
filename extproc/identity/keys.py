"""An issuer's keys over HTTP: discovery (OpenID Connect Discovery 1.0, 4) and the JWKS it names."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import orjson

from extproc.errors import Refusal
from extproc.identity.oidc import DEVELOPMENT_CLAIM, OidcVerifier

_TIMEOUT: Final = 5.0  # seconds
_MAX_ANSWER: Final = 1 << 20  # bytes
_REFRESH: Final = 600.0  # seconds

log = logging.getLogger("extproc.identity")


class _Unfit(Exception):  # noqa: N818
    """An issuer's answer that must not be used; the text says why."""


class HttpKeyFetcher:
    """Performs `FetchKeys`. One fetch an issuer at a time; whoever asks meanwhile waits for it."""

    def __init__(self, verifier: OidcVerifier) -> None:
        self._verifier = verifier
        self._running: dict[str, asyncio.Task[None]] = {}

    async def fetch(self, issuer: str, kid: str) -> None:  # noqa: ARG002 - all keys come at once
        """Raises `Refusal("identity_unavailable")`."""
        task = self._running.get(issuer)
        if task is None:
            task = asyncio.create_task(self._refresh(issuer))
            self._running[issuer] = task
            task.add_done_callback(lambda _: self._running.pop(issuer, None))
        try:
            await asyncio.shield(task)
        except (httpx.HTTPError, _Unfit, ValueError, OSError) as error:
            self._tell(issuer, error)
            raise Refusal("identity_unavailable", retry_after=10) from None

    async def refresh_forever(self) -> None:
        """Keep keys fresh, so that a rotation costs no request anything. Old keys stay where a refresh fails."""
        while True:
            for issuer in self._verifier.issuers:
                try:
                    await self._refresh(issuer)
                except (httpx.HTTPError, _Unfit, ValueError, OSError) as error:
                    self._tell(issuer, error)
            await asyncio.sleep(_REFRESH)

    async def _refresh(self, issuer: str) -> None:
        async with httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False, trust_env=False) as client:
            discovery = await self._get(client, issuer.rstrip("/") + "/.well-known/openid-configuration")
            if discovery.get("issuer") != issuer:
                raise _Unfit("the discovery document names another issuer")
            if discovery.get(DEVELOPMENT_CLAIM) and not self._verifier.development:
                raise _Unfit("a development issuer is accepted only where development is on")
            jwks = await self._get(client, str(discovery.get("jwks_uri")))
        if not isinstance(jwks.get("keys"), list):
            raise _Unfit("the JWKS has no keys")
        self._verifier.set_keys(issuer, jwks)

    async def _get(self, client: httpx.AsyncClient, url: str) -> dict[str, Any]:
        if not _trusted(url):
            raise _Unfit("expected https (http only on loopback)")
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

    @staticmethod
    def _tell(issuer: str, error: Exception) -> None:
        why = str(error) if isinstance(error, _Unfit) else type(error).__name__
        log.warning("keys not fetched: %s", why, extra={"issuer": issuer})


def _trusted(url: str) -> bool:
    """Keys over plain HTTP could be anybody's, but for this very machine."""
    parts = urlsplit(url)
    if parts.scheme == "https":
        return bool(parts.hostname)
    if parts.scheme != "http" or not parts.hostname:
        return False
    try:
        return ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname == "localhost"
