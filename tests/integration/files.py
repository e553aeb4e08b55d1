"""An upstream that serves git repositories over smart HTTP, and a package index: what jobs fetch most."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

REPOSITORY = "repo.git"
PROJECT = "planted"
WHEEL = f"{PROJECT}-1.0-py3-none-any.whl"


class FileServer:
    """`/repo.git/…` through `git http-backend`, `/simple/…` and `/files/…` from memory. `seen` lists the requests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.wheel = make_wheel()
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        git("init", "--bare", "--initial-branch=main", str(root / REPOSITORY))
        handler = type("Handler", (_Handler,), {"files": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    def start(self) -> FileServer:
        self._thread.start()
        return self

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def page(self, path: str) -> bytes | None:
        """The simple repository API (PEP 503)."""
        digest = hashlib.sha256(self.wheel).hexdigest()
        return {
            f"/simple/{PROJECT}/": f'<a href="../../files/{WHEEL}#sha256={digest}">{WHEEL}</a>'.encode(),
            f"/files/{WHEEL}": self.wheel,
        }.get(path)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        return

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        url = urlsplit(self.path)
        self.files.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}))
        if url.path.startswith(f"/{REPOSITORY}/"):
            self._git(url.path, url.query)
            return
        page = self.files.page(url.path)
        media_type = "text/html" if url.path.endswith("/") else "application/octet-stream"
        self._answer(200 if page is not None else 404, [("content-type", media_type)], page or b"")

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _git(self, path: str, query: str) -> None:
        """One CGI call (RFC 3875). REMOTE_USER opens pushes; without CONTENT_LENGTH the program reads to the end."""
        environ = {
            **os.environ,
            "GIT_PROJECT_ROOT": str(self.files.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "gateway",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "HTTP_GIT_PROTOCOL": self.headers.get("git-protocol", ""),
        }
        with subprocess.Popen(
            ["git", "http-backend"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environ,
        ) as program:
            out, _ = program.communicate(self._body(self.rfile))
        head, _, body = out.partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head.decode().split("\r\n")]
        status = next((value for name, _, value in lines if name == "Status"), "200")
        headers = [(name, value) for name, _, value in lines if name != "Status"]
        self._answer(int(status.split()[0]), headers, body)

    def _body(self, source: io.BufferedIOBase) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return source.read(int(self.headers.get("content-length") or 0))
        body = bytearray()
        while size := int(source.readline(), 16):
            body += source.read(size)
            source.readline()
        while source.readline() != b"\r\n":
            pass
        return bytes(body)


def git(*args: str, where: Path | None = None) -> str:
    """Run git with nobody's configuration; its output. Raises `CalledProcessError`."""
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": "/nonexistent",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "LC_ALL": "C",
        **{f"GIT_{who}_{what}": "test@localhost" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    ran = subprocess.run(
        ["git", *args], cwd=where, env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


def make_wheel() -> bytes:
    """A wheel (PEP 427) with half a MB that does not compress."""
    info = f"{PROJECT}-1.0.dist-info"
    entries = {
        f"{PROJECT}/__init__.py": b"",
        f"{PROJECT}/data.bin": os.urandom(500_000),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PROJECT}\nVersion: 1.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return packed.getvalue()
