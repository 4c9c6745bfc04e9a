"""One service of the demo: a plain HTTP server that knows nothing of the mesh.

    python3 service.py NAME PORT [NEXT_URL]

GET / answers JSON: who answered, who the mesh says is calling, and, with NEXT_URL, what the next service said.
"""

import http.client
import http.server
import json
import re
import socketserver
import sys
import threading
import urllib.parse


class Service(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256
    allow_reuse_address = True

    def __init__(self, name, port, next_url):
        self.name = name
        self.next = urllib.parse.urlsplit(next_url) if next_url else None
        self.local = threading.local()
        super().__init__(("127.0.0.1", port), Handler)

    def call_next(self):
        """One GET to the next service on this thread's own connection; (status, parsed body)."""
        connection = getattr(self.local, "connection", None)
        if connection is None:
            connection = self.local.connection = http.client.HTTPConnection(self.next.hostname, self.next.port, timeout=30)
        try:
            connection.request("GET", self.next.path or "/")
            answer = connection.getresponse()
            body = answer.read()
        except Exception:
            connection.close()
            self.local.connection = None
            raise
        if answer.status != 200:
            raise RuntimeError(f"{self.next.netloc} answered {answer.status}: {body.decode(errors='replace').strip()}")
        return json.loads(body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave in one write; two would wait 40 ms for each other (Nagle and delayed ACK)
    disable_nagle_algorithm = True

    def do_GET(self):
        # The sidecar writes here who the caller proved to be in the mutual TLS handshake.
        proof = re.search(r"URI=([^;,]+)", self.headers.get("x-forwarded-client-cert", ""))
        reply = {"service": self.server.name, "caller": proof.group(1) if proof else None}
        status = 200
        if self.server.next:
            try:
                reply["next"] = self.server.call_next()
            except Exception as error:  # pylint: disable=broad-except
                status = 502
                reply["error"] = str(error)
        body = json.dumps(reply).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    try:
        Service(sys.argv[1], int(sys.argv[2]), sys.argv[3] if len(sys.argv) == 4 else None).serve_forever()
    except KeyboardInterrupt:
        pass
