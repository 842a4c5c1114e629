"""Where a run's metrics are scraped: an HTTP server on a thread, in front of prometheus_client.

What is asked how (text, OpenMetrics, gzip, `name[]`) is prometheus_client's business; ours is that no client can hold
up the run, and that none makes noise in its terminal. There is no authentication: who can connect can read.
"""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from batchwasm.errors import WorldError
from batchwasm.telling.metrics import Figures

if TYPE_CHECKING:
    from prometheus_client import Metric

CLIENTS = 8  # at once: two Prometheus servers and a person; more are turned away
CLIENT_S = 10.0  # of silence from one in the midst of its request: Prometheus itself gives up after 10 s
LOOK_S = 0.1  # between two looks whether to end
LOOPBACK = "127.0.0.1"


class Address(NamedTuple):
    """Where to listen; port 0 is any that is free."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def address(text: str) -> Address:
    """`:9400` (this machine only), `0.0.0.0:9400`, `[::1]:9400`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not port.isascii() or not port.isdigit() or int(port) > 65535 or (":" in host and not bracketed):
        raise ValueError(
            f"{text!r} is not an address; write such as :9400, which is {LOOPBACK}:9400, or 0.0.0.0:9400, or [::1]:9400"
        )
    return Address((host[1:-1] if bracketed else host) or LOOPBACK, int(port))


class Endpoint:
    """It listens from the start. Raises WorldError where it can't."""

    def __init__(self, wanted: Address, figures: Callable[[], Figures]) -> None:
        from prometheus_client import CollectorRegistry, make_wsgi_app

        try:
            family, _, _, _, where = socket.getaddrinfo(
                wanted.host, wanted.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            kind = type("_Family", (_Server,), {"address_family": family})
            self._server = kind(where[:2], _Handler)
        except OSError as error:
            raise WorldError(f"--metrics {wanted}: {_told(error)}") from error
        registry = CollectorRegistry()
        registry.register(_Collector(figures))
        self._server.set_app(make_wsgi_app(registry))
        self.url = f"http://{Address(wanted.host, self._server.server_port)}/metrics"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_S,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _told(error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return "somebody listens there already; choose another port, or 0 for any that is free"
        case errno.EADDRNOTAVAIL:
            return "this machine has no such address; :PORT is this machine alone, 0.0.0.0:PORT all that it has"
        case errno.EACCES:
            return "this user may not listen there; choose a port above 1023"
        case _:
            return error.strerror or os.strerror(error.errno or 0)


class _Collector:
    """What prometheus_client asks for families."""

    def __init__(self, figures: Callable[[], Figures]) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        from batchwasm.telling.families import families

        return families(self._figures())


class _Handler(WSGIRequestHandler):
    timeout = CLIENT_S

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: stderr is the run's."""


class _Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # two runs on one port would answer by turns

    def __init__(self, *args: Any) -> None:
        self._free = threading.BoundedSemaphore(CLIENTS)
        super().__init__(*args)

    def server_bind(self) -> None:
        """Without HTTPServer's own, which asks the DNS for our name: that takes seconds where it does not answer."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nobody's error."""
