"""
Two servers that begin as the same bytes on disk: one behind a gateway that allows all and masks nothing, one without.

As long as both are told the same, one conversation at a time, even their OIDs stay the same.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from extproc.postgres.database.login import Login
from tests.integration import cluster
from tests.integration.database import running
from tests.integration.equal import types
from tests.integration.equal.client import Client, Message, Talk, comparable, connect
from tests.integration.gateway import Gateway
from tests.integration.pglink import Link, linked
from tests.integration.postgres import DATABASE, PASSWORDS, Server, serving

SETUP = f"""
GRANT CREATE ON SCHEMA public TO app;
GRANT CREATE, TEMP ON DATABASE app TO app;
SET ROLE app;
{types.MADE}
"""
SETTINGS = {"max_prepared_transactions": "5"}
_PLACES = 12
Split = Callable[[bytes], Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class Difference:
    talk: Talk
    straight: list[Message]
    gateway: list[Message]

    def __str__(self) -> str:
        most = max(len(self.straight), len(self.gateway))
        at = next((at for at in range(most) if self.straight[at : at + 1] != self.gateway[at : at + 1]), 0)
        straight, gateway = (" | ".join(map(str, one[at : at + 2])) for one in (self.straight, self.gateway))
        return f"{self.talk.about[:300]}\n  straight: {straight}\n  gateway:  {gateway}"


@dataclass
class Twins:
    version: int
    gateway: Gateway
    behind: Server
    alone: Server
    watches: tuple[Link, Link]

    @contextlib.contextmanager
    def pair(self, split: Split | None = None) -> Iterator[tuple[Client, Client]]:
        """A connection without the gateway, and one through it, which may be split into pieces from its first byte."""
        name, token = "twin", self.gateway.token()  # without a name, the gateway gives its own
        straight = connect(self.alone.port, user="app", application_name=name)
        port = self.gateway.database_port
        gateway = connect(port, user="job", password=token, split=split, application_name=name)
        try:
            yield straight, gateway
        finally:
            straight.close()
            gateway.close()
            self._until_free()

    def differences(self, talks: Iterable[Talk], split: Split | None = None) -> list[Difference]:
        """In one conversation. It ends with the first difference that leaves the two in different states."""
        found = []
        with self.pair(split) as (straight, gateway):
            for talk in talks:
                expected = comparable(straight.talk(talk))
                got = comparable(gateway.talk(talk, None if split is None else list(split(talk.data))))
                if expected != got:
                    found.append(Difference(talk, expected, got))
                    if expected[-1] != got[-1]:
                        break
        return found

    def _until_free(self) -> None:
        """A new connection takes the place of the old one in both servers, and with it its temporary schema."""
        for watch in self.watches:
            deadline = time.monotonic() + 10
            while watch.query("SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'") != [[("0",)]]:
                assert time.monotonic() < deadline, "a connection stayed behind"
                time.sleep(0.002)


@contextlib.contextmanager
def twins(version: int, policy: str) -> Iterator[Twins]:
    cluster.require(version)
    with contextlib.ExitStack() as stack:
        behind = stack.enter_context(serving(version, log=False, settings=SETTINGS))
        alone = stack.enter_context(serving(version, log=False, settings=SETTINGS, hba=["host all app all trust"]))
        for server in (behind, alone):
            server.create(SETUP)
        gateway = stack.enter_context(running(behind, policy=policy))
        login = Login(user="reader", database=DATABASE, password=PASSWORDS["reader"])
        for server in (behind, alone):
            _use_places(server)
        watches = tuple(stack.enter_context(linked(one, login)) for one in (behind, alone))
        yield Twins(version, gateway, behind, alone, (watches[0], watches[1]))


def _use_places(server: Server) -> None:
    """Each place of a connection gets its temporary schema now: later it would take OIDs, whenever it came to that."""
    login = Login(user="app", database=DATABASE, password=PASSWORDS["app"], least="trust")
    with contextlib.ExitStack() as stack:
        for one in [stack.enter_context(linked(server, login)) for _ in range(_PLACES)]:
            one.query("CREATE TEMP TABLE place (a text)")


def shown(found: Sequence[Difference]) -> str:
    return f"{len(found)} differ\n" + "\n".join(str(one) for one in found[:20])
