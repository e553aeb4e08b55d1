from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

import pytest

from extproc.errors import Refusal
from extproc.postgres.channel import Channel
from extproc.postgres.driver import Driver
from extproc.postgres.events import (
    CancelServer,
    ClientSent,
    Connect,
    Connected,
    Deadline,
    ReadCatalog,
    Receive,
    ServerClosed,
    ServerSent,
    Side,
    ToClient,
    ToServer,
)
from extproc.waits import AwaitApproval, Durable
from tests.unit.playbook import MemoryRecorder, Meter
from tests.unit.postgres.test_channel import FULL, Transport

pytestmark = pytest.mark.asyncio

CONNECT = Connect("shop", (), 1)
BOTH, CLIENT, SERVER = (Receive(side) for side in (Side.BOTH, Side.CLIENT, Side.SERVER))
Script = Generator[Any, Any, None]


class Disk(MemoryRecorder):
    """Writes when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[bool]] = []
        self.done = True

    def is_durable(self, ticket: int) -> bool:
        return self.done

    def written(self, ticket: int) -> asyncio.Future[bool]:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self.waiting.append(future)
        return future


class Upstream:
    def __init__(self) -> None:
        self.channel = Channel(lambda: None)
        self.transport = Transport()
        self.channel.connection_made(self.transport)
        self.cancels = self.closed = 0
        self.cancelling = False
        self.reading = asyncio.Event()

    async def connect(self, step: Connect, wake: Callable[[], None]) -> Connected:
        self.channel.wake = wake
        return Connected("ci", {}, 1, b"key")

    async def read_catalog(self, *, in_transaction: bool) -> Any:
        await self.reading.wait()
        return "reading"

    def cancel(self) -> None:
        self.cancels += 1

    def close(self) -> None:
        self.closed += 1


class Stage:
    """A driver between a client and a server that are played; `heard` is what the script was given or thrown."""

    def __init__(self, script: Callable[[list[Any]], Script]) -> None:
        self.heard: list[Any] = []
        self.client, self.transport = Channel(lambda: None), Transport()
        self.client.connection_made(self.transport)
        self.upstream, self.disk, self.meter = Upstream(), Disk(), Meter()
        self.people: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.ended = 0
        self.driver = Driver(
            script(self.heard), self.client, self.upstream, self._perform, self._end, recorder=self.disk, meter=self.meter
        )  # fmt: skip
        self.driver.start()

    @property
    def server(self) -> Channel:
        return self.upstream.channel

    async def _perform(self, wait: Any) -> Any:
        return await self.people

    def _end(self) -> None:
        self.ended += 1


def script(*steps: Any, connected: bool = True) -> Callable[[list[Any]], Script]:
    """Yields the steps in order, and keeps what came of them; refusals end it with a last word, as a connection's do."""

    def run(heard: list[Any]) -> Script:
        try:
            if connected:
                yield CONNECT
            for step in steps:
                given = yield step
                heard.append(given)
        except Refusal as refusal:
            heard.append(refusal.code.name)
            yield ToClient(b"sorry")
        except GeneratorExit:
            heard.append("left")
            raise

    return run


async def staged(*steps: Any, connected: bool = True) -> Stage:
    stage = Stage(script(*steps, connected=connected))
    await turns()
    return stage


async def turns() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_it_gives_what_came_and_sends_what_is_said() -> None:
    stage = await staged(BOTH, ToServer(b"Q"), SERVER, ToClient(b"D"), BOTH)
    stage.client.data_received(b"select")
    assert stage.upstream.transport.sent == b"Q"
    stage.client.data_received(b"early")
    stage.server.data_received(b"row")
    assert stage.transport.sent == b"D"
    assert stage.heard == [ClientSent(b"select"), None, ServerSent(b"row"), None, ClientSent(b"early")]
    assert (stage.ended, stage.upstream.closed, stage.transport.ended) == (1, 1, "half")


async def test_it_goes_on_in_callbacks_without_a_task() -> None:
    stage = await staged(*[SERVER, ToClient(b"D")] * 3, BOTH)
    before = asyncio.all_tasks()
    for _ in range(3):
        stage.server.data_received(b"row")
    assert stage.transport.sent == b"DDD"
    assert asyncio.all_tasks() == before


async def test_before_it_is_connected_there_is_no_server() -> None:
    stage = await staged(CLIENT, CONNECT, BOTH, connected=False)
    stage.server.data_received(b"x")
    assert stage.heard == []
    stage.client.data_received(b"password")
    await turns()
    assert stage.heard == [ClientSent(b"password"), Connected("ci", {}, 1, b"key"), ServerSent(b"x")]


async def test_the_end_of_the_server_comes_after_what_it_said() -> None:
    stage = await staged(BOTH, ToClient(b"a"), SERVER, SERVER)
    stage.upstream.channel.data_received(b"last")
    stage.server.data_received(b"words")
    stage.server.connection_lost(None)
    assert stage.heard == [ServerSent(b"last"), None, ServerSent(b"words"), ServerClosed()]


# --- the client is gone


@pytest.mark.parametrize(
    ("step", "busy"),
    [
        (BOTH, False),
        (CLIENT, False),
        (SERVER, True),
        (Durable(1), True),
        (AwaitApproval("a-1", 0), True),
        (ReadCatalog(), True),
        (ToClient(b"x"), True),
        (ToServer(b"x"), True),
    ],
)
async def test_a_client_that_leaves_ends_whatever_is_waited_for(step: Any, busy: bool) -> None:
    """What the server runs is cancelled; where it runs nothing, there is nothing to cancel."""
    stage = await staged(CLIENT, step, CLIENT, SERVER)
    stage.disk.done = False
    stage.client.full = stage.server.full = True
    stage.client.data_received(b"go")
    await turns()
    stage.client.connection_lost(None)
    await turns()
    assert stage.heard == [ClientSent(b"go"), "left"]
    assert (stage.ended, stage.upstream.closed, stage.upstream.cancels) == (1, 1, int(busy))
    assert stage.driver.over
    for future in (stage.people, *stage.disk.waiting):
        assert future.cancelled() or not future.done()


async def test_one_that_leaves_during_the_login_ends_that() -> None:
    stage = Stage(script())
    stage.client.connection_lost(None)
    await turns()
    assert (stage.heard, stage.ended, stage.upstream.cancels) == (["left"], 1, 0)


async def test_what_comes_after_the_end_is_nothing() -> None:
    stage = await staged(CLIENT, CLIENT)
    stage.driver.stop()
    for again in (stage.driver.stop, stage.driver.cancel, stage.driver.drain, stage.driver.wake):
        again()
    stage.client.data_received(b"x")
    assert (stage.heard, stage.ended, stage.upstream.cancels) == (["left"], 1, 0)


# --- the server is gone


@pytest.mark.parametrize("step", [Durable(1), AwaitApproval("a-1", 0), ReadCatalog()])
async def test_a_server_that_leaves_ends_a_wait_at_once(step: Any) -> None:
    stage = await staged(step, CLIENT)
    stage.disk.done = False
    stage = Stage(script(CLIENT, step, CLIENT))
    await turns()
    stage.disk.done = False
    stage.client.data_received(b"go")
    await turns()
    stage.server.connection_lost(None)
    assert stage.heard == [ClientSent(b"go"), "upstream_unavailable"]
    assert stage.transport.sent == b"sorry"
    assert stage.ended == 1


# --- cancelling


async def test_while_the_server_runs_it_is_asked() -> None:
    stage = await staged(SERVER)
    stage.driver.cancel()
    assert stage.upstream.cancels == 1
    assert stage.heard == []


@pytest.mark.parametrize("step", [Durable(1), AwaitApproval("a-1", 0)])
async def test_while_the_gateway_waits_that_ends(step: Any) -> None:
    stage = await staged(CLIENT, step)
    stage.disk.done = False
    stage.client.data_received(b"go")
    await turns()
    stage.driver.cancel()
    assert stage.heard == [ClientSent(b"go"), "statement_cancelled"]
    assert stage.upstream.cancels == 0
    for future in stage.disk.waiting:
        future.cancel()
    await turns()
    assert stage.ended == 1


async def test_while_the_catalog_is_read_it_is_read_to_its_end_first() -> None:
    """What the server says to the gateway's own question must not be left for the client's next one."""
    stage = await staged(ReadCatalog(), CLIENT)
    stage.driver.cancel()
    await turns()
    assert stage.heard == []
    stage.upstream.reading.set()
    await turns()
    assert stage.heard == ["statement_cancelled"]
    assert stage.upstream.cancels == 0


async def test_a_cancel_does_not_outlive_what_it_was_for() -> None:
    stage = await staged(ReadCatalog(), CLIENT)
    stage.upstream.reading.set()
    await turns()
    stage.driver.cancel()  # nothing runs: the server is asked, and ignores it
    stage.client.data_received(b"x")
    assert stage.heard == ["reading", ClientSent(b"x")]


async def test_the_connection_may_ask_for_it_too() -> None:
    stage = await staged(CancelServer(), SERVER)
    assert stage.upstream.cancels == 1


async def test_what_comes_next_waits_until_a_request_to_cancel_is_through() -> None:
    """It would hit the next statement."""
    stage = await staged(CLIENT, ToServer(b"Q"), SERVER)
    stage.upstream.cancelling = True
    stage.client.data_received(b"go")
    stage.server.data_received(b"x")
    assert stage.upstream.transport.sent == b""
    stage.upstream.cancelling = False
    stage.server.wake()
    assert stage.upstream.transport.sent == b"Q"
    assert stage.heard == [ClientSent(b"go"), None, ServerSent(b"x")]


async def test_a_deadline_asks_the_server_to_end_it() -> None:
    stage = await staged(Deadline(0.01), SERVER)
    await asyncio.sleep(0.03)
    assert stage.upstream.cancels == 1
    stage = await staged(Deadline(0.01), Deadline(None), SERVER)
    await asyncio.sleep(0.03)
    assert stage.upstream.cancels == 0
    stage = await staged(Deadline(0.01))
    await asyncio.sleep(0.03)
    assert (stage.ended, stage.upstream.cancels) == (1, 0)


# --- backpressure


async def test_a_client_that_does_not_read_stops_the_server() -> None:
    stage = await staged(*[SERVER, ToClient(b"D")] * 20)
    stage.client.pause_writing()
    for _ in range(10):
        stage.server.data_received(bytes(FULL // 4))
    assert stage.transport.sent == b"D"  # what was begun goes
    assert not stage.upstream.transport.reading
    stage.client.resume_writing()
    assert stage.transport.sent == b"D" * 10
    assert stage.upstream.transport.reading


async def test_a_server_that_does_not_read_stops_the_client() -> None:
    stage = await staged(*[CLIENT, ToServer(b"d")] * 20)
    stage.server.pause_writing()
    for _ in range(10):
        stage.client.data_received(bytes(FULL // 4))
    assert stage.upstream.transport.sent == b"d"
    assert not stage.transport.reading
    stage.server.resume_writing()
    assert stage.upstream.transport.sent == b"d" * 10
    assert stage.transport.reading


async def test_a_server_that_neither_reads_nor_is_read_is_read() -> None:
    stage = await staged(CLIENT, ToServer(b"d"), SERVER)
    stage.server.pause_writing()
    stage.client.data_received(b"x")
    assert stage.heard == [ClientSent(b"x")]
    stage.server.data_received(bytes(FULL))
    assert stage.heard[1:] == [None, ServerSent(bytes(FULL))]


# --- waits


async def test_the_disk() -> None:
    stage = await staged(CLIENT, Durable(7), ToServer(b"Q"), CLIENT)
    stage.disk.done = False
    stage.client.data_received(b"go")
    assert stage.upstream.transport.sent == b""
    (written,) = stage.disk.waiting
    written.set_result(True)
    await turns()
    assert stage.upstream.transport.sent == b"Q"
    assert stage.meter.stages == ["durable"]


async def test_a_disk_that_is_full() -> None:
    stage = await staged(CLIENT, Durable(7), ToServer(b"Q"), CLIENT)
    stage.disk.done = False
    stage.client.data_received(b"go")
    stage.disk.waiting[0].set_result(False)
    await turns()
    assert stage.heard[-1] == "record_unavailable"
    assert stage.upstream.transport.sent == b""


async def test_a_wait_that_is_refused_and_one_that_breaks() -> None:
    for error, code in ((Refusal("approval_denied"), "approval_denied"), (ValueError("secret"), "internal")):
        stage = await staged(AwaitApproval("a-1", 0), ToServer(b"Q"))
        stage.people.set_exception(error)
        await turns()
        assert stage.heard == [code]
        assert stage.upstream.transport.sent == b""
        assert stage.transport.sent == b"sorry"


async def test_what_breaks_ends_the_connection_without_a_word() -> None:
    def broken(_heard: list[Any]) -> Script:
        yield CONNECT
        yield SERVER
        raise ValueError("secret")

    stage = Stage(broken)
    await turns()
    stage.server.data_received(b"x")
    assert (stage.transport.sent, stage.transport.ended, stage.ended) == (b"", "half", 1)
    assert stage.upstream.cancels == 1


# --- a drain


@pytest.mark.parametrize("step", [BOTH, CLIENT])
async def test_a_drain_ends_what_is_at_rest(step: Any) -> None:
    stage = await staged(step, CLIENT)
    stage.driver.drain()
    assert stage.heard == ["stopping"]
    assert stage.transport.sent == b"sorry"
    assert stage.ended == 1


async def test_and_lets_what_runs_come_to_its_end() -> None:
    stage = await staged(SERVER, ToClient(b"D"), BOTH, CLIENT)
    stage.driver.drain()
    assert stage.heard == []
    stage.server.data_received(b"row")
    assert stage.heard == [ServerSent(b"row"), None]
    await turns()
    assert stage.heard[-1] == "stopping"
    assert stage.transport.sent == b"Dsorry"


async def test_what_the_client_has_said_already_is_done_first() -> None:
    stage = await staged(SERVER, BOTH, ToServer(b"X"), SERVER, BOTH)
    stage.client.data_received(b"one more")
    stage.driver.drain()
    stage.server.data_received(b"row")
    await turns()
    assert stage.upstream.transport.sent == b"X"
    assert not stage.driver.over
    stage.server.data_received(b"row")
    await turns()
    assert stage.heard[-1] == "stopping"
