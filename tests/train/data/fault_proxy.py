"""An HTTP proxy in front of an object store that breaks what it is told to break."""

import http.client
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FaultProxy:
    """Passes requests on to `upstream` (host:port).

    `fault(path, number, attempt)` names what goes wrong with a GET, if any; it is told the how manieth of all GETs this
    is, and the how manieth of this range of this path, both from 1.

    "reset": the connection is reset in the middle of the body; "throttle": 503 SlowDown; "slow": the body takes a
    second; "truncate": the body ends early; "flip": one bit of the body is another.
    """

    def __init__(self, upstream: str) -> None:
        self.fault: Callable[[str, int, int], str | None] = lambda path, number, attempt: None
        self.requests: Counter[str] = Counter()  # GETs by path
        self.attempts: Counter[tuple[str, str]] = Counter()  # GETs by path and range
        self.faults: Counter[str] = Counter()
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                proxy._handle(self, upstream)

            do_HEAD = do_GET

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.endpoint = f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def _handle(self, request: BaseHTTPRequestHandler, upstream: str) -> None:
        fault = None
        if request.command == "GET":
            with self._lock:
                self.requests[request.path] += 1
                span = (request.path, request.headers.get("Range", ""))
                self.attempts[span] += 1
                fault = self.fault(request.path, self.requests.total(), self.attempts[span])
                self.faults[fault or "none"] += 1
        if fault == "throttle":
            request.send_response(503)
            request.send_header("Content-Length", str(len(SLOW_DOWN)))
            request.end_headers()
            request.wfile.write(SLOW_DOWN)
            return
        connection = http.client.HTTPConnection(upstream)
        connection.putrequest(request.command, request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        connection.close()
        request.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server"):
                request.send_header(name, value)
        request.end_headers()
        self._send(request, body, fault)

    def _send(self, request: BaseHTTPRequestHandler, body: bytes, fault: str | None) -> None:
        half = len(body) // 2
        if fault == "flip":
            body = body[:half] + bytes([body[half] ^ 1]) + body[half + 1 :]
        if fault in ("reset", "truncate"):
            request.wfile.write(body[:half])
            request.close_connection = True
            if fault == "reset":
                request.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                request.connection.close()
            return
        try:
            if fault == "slow":
                for at in range(0, len(body), max(1, len(body) // 10)):
                    request.wfile.write(body[at : at + max(1, len(body) // 10)])
                    time.sleep(0.1)
            else:
                request.wfile.write(body)
        except OSError:  # the client was killed
            request.close_connection = True
