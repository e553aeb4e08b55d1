"""What a real Envoy does between a PostgreSQL client and the workers' relays."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from extproc.config import Config, load
from extproc.envoyconf.render import render
from extproc.run import envoy
from tests.integration.gateway import free_port
from tests.unit.config.test_resources import CREDENTIALS, DB
from tests.unit.test_config import written

pytestmark = pytest.mark.envoy
SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"  # PROXY protocol, 2.2
V2_PROXY, TCP4 = 0x21, 0x11


class Relay:
    """Listens as a worker does. Answers each connection's first bytes with its own name, then echoes."""

    def __init__(self, path: Path, name: bytes) -> None:
        self.headers: list[bytes] = []
        self.empty = 0
        self._name = name
        self._path = path
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop_listening(self) -> None:
        self._path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            received = b""
            while len(received) <= 28:  # the header of a TCP4 connection, and something behind it
                part = connection.recv(4096)
                if not part:
                    self.empty += 1
                    return
                received += part
            self.headers.append(received[:28])
            connection.sendall(self._name)
            while part := connection.recv(4096):
                connection.sendall(part)


class Front:
    """Envoy as it is generated, with two relays behind one database's port."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self._clients: list[socket.socket] = []
        resource = {**DB, "port": self.port}
        document = {"credentials": CREDENTIALS, "resources": [resource], "listen": f"127.0.0.1:{free_port()}"}
        self.config: Config = load(written(home, document))
        for name in ("run", "logs"):
            (self.config.state_dir / name).mkdir(parents=True)
        self.relays = [Relay(self.config.pg_socket_path(0, n), b"relay%d" % n) for n in range(2)]
        rendered = home / "envoy.json"
        rendered.write_text(render(self.config))
        self._log = home / "envoy.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(envoy.command(rendered), stdout=log, stderr=log)
        self.await_healthy(2)

    def await_healthy(self, count: int) -> None:
        admin = envoy.Admin(self.config.state_dir / "run" / "admin.sock")
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError):
                stats = admin._ask("GET", "/stats?filter=pg_shop.membership_healthy")
                if stats.strip().endswith(f": {count}"):
                    return
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.02)

    def connect(self) -> tuple[socket.socket, bytes]:
        """A client and what it got; nothing where it was cut off."""
        client = socket.create_connection(("127.0.0.1", self.port), 5)
        self._clients.append(client)
        with contextlib.suppress(ConnectionError):
            client.sendall(b"hello")
            return client, client.recv(100)
        return client, b""

    def stop(self) -> None:
        for client in self._clients:
            client.close()
        self._process.kill()
        self._process.wait()
        for relay in self.relays:
            relay.stop_listening()


@pytest.fixture
def front() -> Iterator[Front]:
    home = Path(tempfile.mkdtemp(prefix="xg-"))
    made = Front(home)
    try:
        yield made
    finally:
        made.stop()
        shutil.rmtree(home, ignore_errors=True)


def test_the_clients_own_address_goes_ahead_of_its_bytes(front: Front) -> None:
    client, name = front.connect()
    source, port = client.getsockname()
    assert name in (b"relay0", b"relay1")
    ((header,),) = (relay.headers for relay in front.relays if relay.headers)
    assert header[:12] == SIGNATURE
    assert (header[12], header[13]) == (V2_PROXY, TCP4)
    assert header[16:20] == socket.inet_aton(source)
    assert int.from_bytes(header[24:26], "big") == port
    client.sendall(b"again")
    assert client.recv(100) == b"again"


def test_a_health_check_is_a_connection_without_a_byte(front: Front) -> None:
    deadline = time.monotonic() + 10
    while not all(relay.empty for relay in front.relays):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not any(relay.headers for relay in front.relays)


def test_a_worker_that_drains_keeps_its_connections_and_gets_no_new_ones(front: Front) -> None:
    clients = [front.connect() for _ in range(12)]
    assert {name for _, name in clients} == {b"relay0", b"relay1"}
    front.relays[0].stop_listening()
    # From the first moment on: a connection that cannot be made is made to the other one.
    for _ in range(30):
        client, name = front.connect()
        assert name == b"relay1"
        client.close()
    front.await_healthy(1)
    for client, _ in clients:
        client.sendall(b"still here")
        assert client.recv(100) == b"still here"


def test_without_a_worker_nobody_gets_in(front: Front) -> None:
    for relay in front.relays:
        relay.stop_listening()
    front.await_healthy(0)
    assert front.connect()[1] == b""
