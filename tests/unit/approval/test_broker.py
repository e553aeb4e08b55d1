"""The worker's side: who waits is woken in time, who leaves is noticed, and a drain loses nothing."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from extproc.approval import broker as broker_module
from extproc.approval.broker import Broker
from extproc.approval.store import SqliteApprovalStore
from extproc.errors import Refusal
from extproc.model import Approval, ApprovalRequest
from tests.unit.approval.people import ALICE, TERMS, asked, opened


def ask(digest: str = "d" * 64, timeout: float = 60.0) -> ApprovalRequest:
    now = time.time()
    return asked(digest, terms=replace(TERMS, timeout=timeout), created_at=now)


@pytest_asyncio.fixture
async def people(tmp_path: Path) -> AsyncIterator[SqliteApprovalStore]:
    """The control process's own store object."""
    store = opened(tmp_path)
    yield store
    store.close()


@pytest_asyncio.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Broker]:
    store = opened(tmp_path)
    made = Broker(store)
    yield made
    await made.drain()
    made.close()
    store.close()


@pytest_asyncio.fixture
async def other(tmp_path: Path) -> AsyncIterator[Broker]:
    """Another worker."""
    store = opened(tmp_path)
    made = Broker(store)
    yield made
    await made.drain()
    made.close()
    store.close()


async def open_and_wait(broker: Broker, request: ApprovalRequest) -> tuple[Approval, asyncio.Task[Approval]]:
    approval = await broker.open(request, request.created_at)
    task = asyncio.create_task(broker.wait(approval.id, approval.expires_at))
    await asyncio.sleep(0.1)
    return approval, task


async def gone(broker: Broker, approval: Approval, task: asyncio.Task[Approval]) -> None:
    """As a transport ends an exchange whose client has left."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    broker.leave(approval.id)


def decide(store: SqliteApprovalStore, approval: Approval, *, approve: bool = True) -> None:
    store.decide(approval.id, ALICE, approve=approve, justification="", now=time.time())


async def settles(store: SqliteApprovalStore, approval: Approval, state: str) -> None:
    for _ in range(40):
        found = store.get(approval.id)
        if found is not None and found.state == state:
            return
        await asyncio.sleep(0.025)
    pytest.fail(f"never {state}")


@pytest.mark.asyncio
@pytest.mark.parametrize("approve", [True, False])
async def test_a_decision_of_another_process_wakes_within_200_ms(
    broker: Broker, people: SqliteApprovalStore, *, approve: bool
) -> None:
    approval, task = await open_and_wait(broker, ask())
    began = time.monotonic()
    decide(people, approval, approve=approve)
    answered = await task
    assert time.monotonic() - began < 0.2
    assert answered.state == ("approved" if approve else "denied")
    assert answered.decided_by == ("alice",)


@pytest.mark.asyncio
async def test_a_decision_between_open_and_wait_is_seen(broker: Broker, people: SqliteApprovalStore) -> None:
    approval = await broker.open(ask(), time.time())
    decide(people, approval)
    answered = await asyncio.wait_for(broker.wait(approval.id, approval.expires_at), 0.5)
    assert answered.state == "approved"
    assert await broker.use(approval.id)
    assert not await broker.use(approval.id)


@pytest.mark.asyncio
async def test_a_decision_that_was_there_before_is_seen_by_who_comes_later(
    broker: Broker, people: SqliteApprovalStore
) -> None:
    other, waiting = await open_and_wait(broker, ask("e" * 64))
    approval = await broker.open(ask(), time.time())
    decide(people, approval)
    await asyncio.sleep(0.15)  # the one look for all has seen this version
    answered = await asyncio.wait_for(broker.wait(approval.id, approval.expires_at), 0.5)
    assert answered.state == "approved"
    await gone(broker, other, waiting)


@pytest.mark.asyncio
async def test_all_who_wait_for_the_same_are_woken_and_one_uses_it(
    broker: Broker, other: Broker, people: SqliteApprovalStore
) -> None:
    request = ask()
    first, one = await open_and_wait(broker, request)
    second, two = await open_and_wait(broker, request)
    third, three = await open_and_wait(other, request)
    assert first.id == second.id == third.id
    decide(people, first)
    assert [found.state for found in await asyncio.gather(one, two, three)] == ["approved"] * 3
    assert sorted([await broker.use(first.id), await broker.use(first.id), await other.use(first.id)]) == [
        False,
        False,
        True,
    ]


@pytest.mark.asyncio
async def test_a_half_given_yes_wakes_nobody(broker: Broker, people: SqliteApprovalStore) -> None:
    approval, task = await open_and_wait(broker, replace(ask(), terms=replace(TERMS, minimum=2)))
    decide(people, approval)
    await asyncio.sleep(0.15)
    assert not task.done()
    await gone(broker, approval, task)


@pytest.mark.asyncio
async def test_what_nobody_answers_expires_in_time(broker: Broker, people: SqliteApprovalStore) -> None:
    approval, task = await open_and_wait(broker, ask(timeout=0.3))
    answered = await asyncio.wait_for(task, 1)
    assert answered.state == "expired"
    found = people.get(approval.id)
    assert found is not None
    assert found.state == "expired"
    assert time.time() >= approval.expires_at - 0.05


@pytest.mark.asyncio
async def test_a_wait_that_ends_before_the_approval_does_counts_as_leaving(
    broker: Broker, people: SqliteApprovalStore
) -> None:
    approval = await broker.open(ask(), time.time())
    answered = await broker.wait(approval.id, time.time() + 0.1)
    assert answered.state == "expired"
    await settles(people, approval, "cancelled")


@pytest.mark.asyncio
async def test_only_the_last_client_that_leaves_cancels(
    broker: Broker, other: Broker, people: SqliteApprovalStore
) -> None:
    request = ask()
    approval, one = await open_and_wait(broker, request)
    _, two = await open_and_wait(broker, request)
    _, three = await open_and_wait(other, request)
    for worker, task in ((broker, one), (other, three)):
        await gone(worker, approval, task)
        await asyncio.sleep(0.1)
        found = people.get(approval.id)
        assert found is not None
        assert found.state == "pending"
    await gone(broker, approval, two)
    await settles(people, approval, "cancelled")


@pytest.mark.asyncio
async def test_a_client_that_has_opened_and_not_yet_waits_counts(broker: Broker, people: SqliteApprovalStore) -> None:
    request = ask()
    approval, task = await open_and_wait(broker, request)
    again = await broker.open(request, request.created_at)
    await gone(broker, approval, task)
    waiting = asyncio.create_task(broker.wait(again.id, again.expires_at))
    await asyncio.sleep(0.1)
    decide(people, approval)
    assert (await waiting).state == "approved"


@pytest.mark.asyncio
async def test_a_client_that_leaves_before_it_waits_cancels(broker: Broker, people: SqliteApprovalStore) -> None:
    approval = await broker.open(ask(), time.time())
    broker.leave(approval.id)
    await settles(people, approval, "cancelled")


@pytest.mark.asyncio
async def test_a_client_that_vanishes_while_opening_cancels(
    broker: Broker, people: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    really_open, begun, go_on = broker._store.open, threading.Event(), threading.Event()

    def slowly(request: ApprovalRequest, now: float, waiter: str = "") -> Approval:
        begun.set()
        go_on.wait(5)
        return really_open(request, now, waiter)

    monkeypatch.setattr(broker._store, "open", slowly)
    task = asyncio.create_task(broker.open(ask(), time.time()))
    assert await asyncio.to_thread(begun.wait, 5)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    go_on.set()
    await asyncio.wrap_future(broker._thread.submit(bool))  # the opening is done
    (approval,) = people.list()
    await settles(people, approval, "cancelled")


@pytest.mark.asyncio
async def test_an_exchange_that_never_begins_to_wait_is_noticed(
    broker: Broker, people: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_UNCLAIMED", 0.1)
    approval = await broker.open(ask(), time.time())
    await settles(people, approval, "cancelled")


@pytest.mark.asyncio
async def test_an_answer_that_came_before_the_client_left_stays(broker: Broker, people: SqliteApprovalStore) -> None:
    request = ask()
    approval, task = await open_and_wait(broker, request)
    decide(people, approval)
    await gone(broker, approval, task)
    await asyncio.sleep(0.1)
    found = await broker.open(request, request.created_at)
    assert (found.id, found.state) == (approval.id, "approved")


@pytest.mark.asyncio
async def test_a_drain_tells_everybody_to_come_again_and_keeps_what_is_pending(
    broker: Broker, other: Broker, people: SqliteApprovalStore
) -> None:
    request = ask()
    approval, one = await open_and_wait(broker, request)
    _, two = await open_and_wait(broker, request)
    await gone(broker, approval, two)
    await broker.drain()
    with pytest.raises(Refusal) as refused:
        await one
    assert (refused.value.code.name, refused.value.approval) == ("approval_pending", approval.id)
    assert refused.value.retry_after == 5
    with pytest.raises(Refusal) as refused:
        await broker.open(request, request.created_at)
    assert (refused.value.code.name, refused.value.approval) == ("approval_pending", approval.id)
    with pytest.raises(Refusal):
        await broker.wait(approval.id, approval.expires_at)
    joined, task = await open_and_wait(other, request)
    assert joined.id == approval.id
    decide(people, approval)
    assert (await task).state == "approved"


@pytest.mark.asyncio
async def test_a_yes_may_still_be_used_while_draining(broker: Broker, people: SqliteApprovalStore) -> None:
    request = ask()
    approval = await broker.open(request, request.created_at)
    decide(people, approval)
    await broker.drain()
    assert (await broker.open(request, request.created_at)).state == "approved"
    assert await broker.use(approval.id)


@pytest.mark.asyncio
async def test_nothing_is_polled_where_nobody_waits(broker: Broker, people: SqliteApprovalStore) -> None:
    approval, task = await open_and_wait(broker, ask())
    decide(people, approval)
    await task
    await asyncio.sleep(0.1)
    assert broker._poll is not None
    assert broker._poll.done()
    assert not broker._waiting
    assert not broker._interest


@pytest.mark.asyncio
async def test_a_store_that_comes_back_loses_nobodys_answer(
    broker: Broker, people: SqliteApprovalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker_module, "_BROKEN_PAUSE", 0.02)
    approval, task = await open_and_wait(broker, ask())

    def broken() -> int:
        raise Refusal("approval_unavailable")

    with monkeypatch.context() as patch:
        patch.setattr(broker._store, "version", broken)
        decide(people, approval)
        await asyncio.sleep(0.1)
        assert not task.done()
    assert (await asyncio.wait_for(task, 0.5)).state == "approved"


@pytest.mark.asyncio
async def test_a_store_that_does_not_come_back_is_a_refusal_at_the_end(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, task = await open_and_wait(broker, ask(timeout=0.3))

    def broken(*_: object) -> int:
        raise Refusal("approval_unavailable")

    for name in ("version", "settled", "expire", "leave"):
        monkeypatch.setattr(broker._store, name, broken)
    with pytest.raises(Refusal) as refused:
        await asyncio.wait_for(task, 2)
    assert refused.value.code.name == "approval_unavailable"


def test_leaving_while_the_loop_is_closed_does_no_harm(tmp_path: Path) -> None:
    store = opened(tmp_path)

    async def begin() -> tuple[Broker, Approval]:
        broker = Broker(store)
        return broker, await broker.open(ask(), time.time())

    broker, approval = asyncio.run(begin())
    broker.leave(approval.id)
    broker.close()
    broker.leave(approval.id)
    found = store.get(approval.id)
    assert found is not None
    assert found.state == "cancelled"
    store.close()
