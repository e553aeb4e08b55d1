"""An issuer of tokens over HTTP whose keys the test has: it signs whatever an attacker could wish for, and counts."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.unit.identity.issuer import Issuer


class Served(Issuer):
    """`hits` counts the requests for its keys."""

    hits = 0

    def minted(self, headers: dict[str, Any] | None = None, /, **changed: Any) -> str:
        now = time.time()
        claims = {"aud": "extproc-gateway", "exp": now + 600, "iat": now, "nbf": now, "actor": "octocat"}
        return self.token(
            headers, **{**claims, "sub": "repo:a/b:ref:main", "repository": "a/b", "run_id": "1", **changed}
        )


@contextlib.contextmanager
def serving(path: str) -> Iterator[Served]:
    """An issuer at `http://127.0.0.1:…/path`."""
    issuer = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            document: dict[str, Any] = {"issuer": issuer.url, "jwks_uri": f"{issuer.url}/jwks"}
            if self.path.endswith("/jwks"):
                issuer.hits += 1
                document = issuer.jwks()
            body = json.dumps(document).encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}/{path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield issuer
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
