"""A worker or control process without `extproc up` around it: what the supervisor would have set, and how to ask it."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

from extproc.config import Config

METRICS_VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
_PATIENCE: Final = 2.0  # seconds
_SERVING: Final = b"\x08\x01"  # HealthCheckResponse{status: SERVING}, as in server/health.py


def share_metrics(state_dir: Path, process: str) -> None:
    """
    Let this process's metrics be added up with the others'. Nothing where the variable is set: that is `extproc up`.

    Must run before anything imports prometheus_client. In containers every process has the same number, so its files
    go by its name (`worker-0`): two would otherwise write into one file, and a restart goes on counting where it was.
    """
    if os.environ.get(METRICS_VARIABLE):
        return
    folder = state_dir / "metrics"
    os.environ[METRICS_VARIABLE] = str(folder)
    from prometheus_client import values  # noqa: PLC0415 - reads the variable when it is imported

    values.ValueClass = values.MultiProcessValue(lambda: process)  # type: ignore[no-untyped-call]
    for stale in folder.glob(f"gauge_live*_{process}.db"):
        stale.unlink()  # what an earlier start of it held is not held now


def worker_serves(config: Config, index: int) -> bool:
    """Whether worker `index` answers Envoy's own health check: listening, not draining, its event loop alive."""
    import grpc  # noqa: PLC0415 - half of what this costs

    address = f"unix:{config.socket_path(index)}"
    with grpc.insecure_channel(address) as channel:
        check: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary("/grpc.health.v1.Health/Check")
        try:
            answer: bytes = check(b"", timeout=_PATIENCE)
        except grpc.RpcError:
            return False
    return answer == _SERVING


def control_serves(config: Config) -> bool:
    """Whether the control process answers and can read its approvals."""
    host, _, port = config.control.listen.rpartition(":")
    # What listens on every address is asked on this machine's own.
    host = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}.get(host, host)  # noqa: S104 - compared, not listened on
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{host}:{port}/healthz", timeout=_PATIENCE) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False
