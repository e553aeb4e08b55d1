"""An issuer's keys over HTTP."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest

from extproc.errors import Refusal
from extproc.identity import keys
from extproc.identity.keys import HttpKeyFetcher
from extproc.identity.oidc import DEVELOPMENT_CLAIM
from extproc.model import Identity
from extproc.waits import FetchKeys
from tests.unit.identity.issuer import NOW, RULE, URL, Issuer, verifier

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
        (DISCOVERY, {"issuer": URL, "jwks_uri": ["https://issuer.test/jwks"]}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "https://a\x7f/"}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "https://[::1"}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "https://a:99999/"}),
        (DISCOVERY, {"issuer": URL, "jwks_uri": "https:///jwks"}),
        (DISCOVERY, KeyError("planted")),
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


@pytest.mark.parametrize("jwks_uri", [f"{URL}/jwks", "https://a\x7f/", "https://[::1", "http://127.0.0.1:1/jwks"])
def test_what_an_issuer_answers_does_not_end_the_refreshing(
    served: tuple[Answers, list[str]], monkeypatch: pytest.MonkeyPatch, jwks_uri: str
) -> None:
    monkeypatch.setattr(keys, "_REFRESH", 0.01)
    served[0][DISCOVERY]["jwks_uri"] = jwks_uri
    served[0][f"{URL}/jwks"] = KeyError("odd")
    verify = verifier()

    async def main() -> None:
        came = asyncio.Event()
        monkeypatch.setattr(verify, "set_keys", lambda *_: came.set())
        task = asyncio.create_task(HttpKeyFetcher(verify).refresh_forever())
        await asyncio.sleep(0.05)
        assert (task.done(), came.is_set()) == (False, False)
        served[0][DISCOVERY]["jwks_uri"] = f"{URL}/jwks"
        served[0][f"{URL}/jwks"] = ISSUER.jwks()
        await asyncio.wait_for(came.wait(), 5)
        task.cancel()

    asyncio.run(main())


def test_an_issuer_that_drips_its_answer_is_left_after_the_deadline(
    served: tuple[Answers, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "_DEADLINE", 0.1)

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.01)

    async def main() -> None:
        served[0][f"{URL}/jwks"] = httpx.Response(200, content=drip())
        async with asyncio.timeout(5):
            with pytest.raises(Refusal, match="identity_unavailable"):
                await HttpKeyFetcher(verifier()).fetch(URL, "k1")

    asyncio.run(main())


def test_http_on_loopback_counts_only_in_development(served: tuple[Answers, list[str]]) -> None:
    url = "http://127.0.0.1:8083"
    local = Issuer(url=url)
    served[0][f"{url}/.well-known/openid-configuration"] = {"issuer": url, "jwks_uri": f"{url}/jwks"}
    served[0][f"{url}/jwks"] = local.jwks()
    rule = replace(RULE, issuer=url)
    with pytest.raises(Refusal, match="identity_unavailable"):
        run(lambda: HttpKeyFetcher(verifier(rule=rule)).fetch(url, "k1"))
    assert served[1] == []
    verify = verifier(rule=rule, development=True)
    run(lambda: HttpKeyFetcher(verify).fetch(url, "k1"))
    assert isinstance(verify.verify(local.token(), NOW), Identity)


def test_an_issuer_with_https_does_not_name_keys_over_http(served: tuple[Answers, list[str]]) -> None:
    served[0][DISCOVERY]["jwks_uri"] = "http://127.0.0.1:8083/jwks"
    served[0]["http://127.0.0.1:8083/jwks"] = ISSUER.jwks()
    with pytest.raises(Refusal, match="identity_unavailable"):
        run(lambda: HttpKeyFetcher(verifier(development=True)).fetch(URL, "k1"))
    assert served[1] == [DISCOVERY]


def test_parallel_requests_of_a_cold_start_share_one_fetch_and_all_get_in(served: tuple[Answers, list[str]]) -> None:
    verify = verifier()
    fetcher = HttpKeyFetcher(verify)

    async def request(number: int) -> Identity | FetchKeys:
        token = ISSUER.token(jti=str(number))
        found = verify.verify(token, NOW)
        if isinstance(found, FetchKeys):
            await asyncio.sleep(0.001 * number)  # the last ones come when the fetch has ended
            await fetcher.fetch(found.issuer, found.kid)
            found = verify.verify(token, NOW)
        return found

    async def main() -> list[Identity | FetchKeys]:
        return await asyncio.gather(*(request(number) for number in range(50)))

    assert all(isinstance(found, Identity) for found in asyncio.run(main()))
    assert len(served[1]) == 2


@pytest.mark.parametrize("failing", [False, True])
def test_made_up_key_ids_cause_one_fetch(served: tuple[Answers, list[str]], *, failing: bool) -> None:
    if failing:
        served[0][DISCOVERY] = httpx.ConnectError("planted")
    verify = verifier(ISSUER)
    fetcher = HttpKeyFetcher(verify)
    codes = set()

    async def main() -> None:
        for number in range(100):
            try:
                found = verify.verify(ISSUER.token({"kid": f"evil{number}"}), NOW)
                assert isinstance(found, FetchKeys)
                await fetcher.fetch(found.issuer, found.kid)
                verify.verify(ISSUER.token({"kid": f"evil{number}"}), NOW)
            except Refusal as refusal:
                codes.add(refusal.code.name)

    asyncio.run(main())
    assert len(served[1]) == (1 if failing else 2)
    assert codes == {"identity_unavailable" if failing else "identity_invalid"}


def test_after_a_failure_it_is_tried_again(served: tuple[Answers, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "_FAILURE_PAUSE", 0.05)
    good, served[0][DISCOVERY] = served[0][DISCOVERY], httpx.Response(503)
    verify = verifier()

    async def main() -> None:
        fetcher = HttpKeyFetcher(verify)
        with pytest.raises(Refusal, match="identity_unavailable"):
            await fetcher.fetch(URL, "k1")
        served[0][DISCOVERY] = good
        await asyncio.sleep(0.06)
        await fetcher.fetch(URL, "k1")

    asyncio.run(main())
    assert isinstance(verify.verify(ISSUER.token(), NOW), Identity)
