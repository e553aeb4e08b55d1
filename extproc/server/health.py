"""gRPC health checking (grpc/health/v1/health.proto): Envoy keeps new streams away from a worker that is not serving.

Two fixed answers of one field; that needs no package and no generated code.
"""

from __future__ import annotations

from typing import Any, Final

import grpc
import grpc.aio

SERVICE: Final = "grpc.health.v1.Health"
_SERVING: Final = b"\x08\x01"  # HealthCheckResponse{status: SERVING}
_NOT_SERVING: Final = b"\x08\x02"


class Health:
    """`serving` may be set at any time; `Check` tells it. `Watch` is not offered: Envoy polls."""

    def __init__(self) -> None:
        self.serving = False

    async def check(self, _request: bytes, _context: Any) -> bytes:
        return _SERVING if self.serving else _NOT_SERVING

    def handler(self) -> grpc.GenericRpcHandler:
        return grpc.method_handlers_generic_handler(SERVICE, {"Check": grpc.unary_unary_rpc_method_handler(self.check)})
