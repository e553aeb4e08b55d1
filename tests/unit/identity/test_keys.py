"""An issuer's keys over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from extproc.errors import Refusal
from extproc.identity.keys import HttpKeyFetcher
from extproc.identity.oidc import DEVELOPMENT_CLAIM
from extproc.model import Identity
from tests.unit.identity.issuer import NOW, URL, Issuer, verifier

ISSUER = Issuer()
DISCOVERY = f"{URL}/.well-known/openid-configuration"
Answers = dict[str, Any]


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> tuple[Answers, list[str]]:
    """Answers by URL, which tests may change, and the URLs that were asked for."""
    answers: Answers = {DISCOVERY: {"issuer": URL, "jwks_uri": f"{URL}/jwks"}, f"{URL}/jwks": ISSUER.jwks()}
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        found = answers[str(request.url)]
        if isinstance(found, httpx.Response | Exception):
            if isinstance(found, Exception):
                raise found
            return found
        return httpx.Response(200, content=found if isinstance(found, bytes) else json.dumps(found).encode())

    original = httpx.AsyncClient.__init__

    def patched(self: httpx.AsyncClient, **options: Any) -> None:
        original(self, **{**options, "transport": httpx.MockTransport(answer)})

    monkeypatch.setattr(httpx.AsyncClient, "__init__", patched)
    return answers, asked


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        return await work()

    return asyncio.run(main())


def test_fetched_keys_verify_tokens(served: tuple[Answers, list[str]]) -> None:
    verify = verifier()
    run(lambda: HttpKeyFetcher(verify).fetch(URL, "k1"))
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
    assert served[1] == [DISCOVERY, f"{URL}/jwks"]


def test_who_asks_at_the_same_time_shares_one_fetch(served: tuple[Answers, list[str]]) -> None:
    verify = verifier()

    async def several() -> None:
        fetcher = HttpKeyFetcher(verify)
        await asyncio.gather(*(fetcher.fetch(URL, "k1") for _ in range(20)))

    run(several)
    assert len(served[1]) == 2


@pytest.mark.parametrize(
    ("url", "answer"),
    [
        (DISCOVERY, {"issuer": "https://other.test", "jwks_uri": f"{URL}/jwks"}),
        (DISCOVERY, {"issuer": URL + "/", "jwks_uri": f"{URL}/jwks"}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "http://issuer.test/jwks"}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "file:///etc/passwd"}),
        (DISCOVERY, {"issuer": URL}),
        (DISCOVERY, []),
        (DISCOVERY, b"no JSON"),
        (DISCOVERY, {"issuer": URL, "jwks_uri": f"{URL}/jwks", DEVELOPMENT_CLAIM: True}),
        (DISCOVERY, httpx.Response(302, headers={"location": f"{URL}/jwks"})),
        (DISCOVERY, httpx.Response(500)),
        (DISCOVERY, httpx.ConnectError("planted")),
        (DISCOVERY, httpx.ReadTimeout("planted")),
        (f"{URL}/jwks", {"keys": "none"}),
        (f"{URL}/jwks", b" " * (1 << 20) + b"{}"),
        (f"{URL}/jwks", httpx.Response(404)),
    ],
)
def test_an_answer_that_is_not_fit_leaves_the_old_keys(
    served: tuple[Answers, list[str]], caplog: pytest.LogCaptureFixture, url: str, answer: object
) -> None:
    served[0][url] = answer
    verify = verifier(ISSUER)
    with caplog.at_level(logging.INFO), pytest.raises(Refusal) as refused:
        run(lambda: HttpKeyFetcher(verify).fetch(URL, "k2"))
    assert refused.value.code.name == "identity_unavailable"
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
    assert "planted" not in caplog.text
    assert "extproc.identity" in {record.name for record in caplog.records}


def test_development_takes_a_development_issuer(served: tuple[Answers, list[str]]) -> None:
    served[0][DISCOVERY][DEVELOPMENT_CLAIM] = True
    verify = verifier(development=True)
    run(lambda: HttpKeyFetcher(verify).fetch(URL, "k1"))
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)


def test_a_client_that_leaves_does_not_end_the_fetch_for_others(served: tuple[Answers, list[str]]) -> None:
    verify = verifier()

    async def leave() -> None:
        fetcher = HttpKeyFetcher(verify)
        first = asyncio.create_task(fetcher.fetch(URL, "k1"))
        second = asyncio.create_task(fetcher.fetch(URL, "k1"))
        await asyncio.sleep(0)
        first.cancel()
        await second

    run(leave)
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)


@pytest.mark.usefixtures("served")
def test_keys_are_there_before_anybody_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    verify = verifier()

    async def once() -> None:
        came = asyncio.Event()
        take = verify.set_keys

        def taken(issuer: str, jwks: dict[str, Any]) -> None:
            take(issuer, jwks)
            came.set()

        monkeypatch.setattr(verify, "set_keys", taken)
        task = asyncio.create_task(HttpKeyFetcher(verify).refresh_forever())
        await asyncio.wait_for(came.wait(), 5)
        task.cancel()

    asyncio.run(once())
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
