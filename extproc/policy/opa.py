"""A real OPA server, asked through opa-python-client.

The client's traps: `retries` must be 0 (its pause costs 0.9 s), its timeout is a bare `TimeoutError`, and undefined, a
missing package and a failed built-in all come back as an answer without `result`.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import aiohttp
import orjson
from opa_client.opa_async import AsyncOpaClient

from extproc.errors import ConfigError, Refusal
from extproc.waits import AskPolicy

PACKAGE: Final = "extproc"
RULE: Final = "decision"
_QUERY: Final = {"provenance": "true", "strict-builtin-errors": "true"}

log = logging.getLogger("extproc.policy")


class OpaEngine:
    """Says that a server must be asked."""

    revision = ""  # known with each answer
    reads = None  # what it has, it does not say

    def evaluate(self, document: bytes) -> AskPolicy:
        return AskPolicy(document)


class OpaServer:
    """Performs `AskPolicy`, over one pool of connections that stay open. `timeout` in seconds."""

    def __init__(self, url: str, timeout: float) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigError(f"policy.url: {url!r} is not like http://127.0.0.1:8181")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._timeout = timeout
        # The client counts whole seconds; ours is the deadline that rules.
        self._client = AsyncOpaClient(
            host=parts.hostname, port=port, ssl=parts.scheme == "https", retries=0, timeout=timeout + 1
        )

    async def __aenter__(self) -> Self:
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def ask(self, document: bytes) -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(self._timeout):
                answer: dict[str, Any] = await self._client.query_rule(
                    input_data=orjson.loads(document), package_path=PACKAGE, rule_name=RULE, query_params=_QUERY
                )
        except TimeoutError:
            raise Refusal("policy_timeout") from None
        except aiohttp.ClientResponseError:
            raise Refusal("policy_error") from None  # the text may quote the input
        except (aiohttp.ClientError, OSError, ConnectionError):
            raise Refusal("policy_unavailable", retry_after=1) from None
        except Exception as error:
            log.warning("policy server: %s", type(error).__name__)
            raise Refusal("policy_error") from None
        if "result" not in answer:
            raise Refusal("policy_undefined")
        return orjson.dumps(answer["result"]), revision_of(answer)


def revision_of(answer: dict[str, Any]) -> str:
    """The revisions of the bundles that OPA used (`provenance`), or its own version where it has none."""
    provenance = answer.get("provenance") or {}
    bundles = provenance.get("bundles") or {}
    revisions = [f"{name}@{bundle.get('revision', '')}" for name, bundle in sorted(bundles.items())]
    return ",".join(revisions) or str(provenance.get("revision") or f"opa-{provenance.get('version', '')}")
