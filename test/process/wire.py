"""HTTP/1.1 spoken by hand over one socket, for tests that must see and say exact bytes: Wire is either end of a connection,
RawApp an application that is a function of the wire."""

import socket
import threading

PATIENCE = 20  # seconds after which a test gives up on a peer


class Message:
    """A request or response: first line, fields (names in lower case), and what read_body found."""

    def __init__(self, first, fields):
        self.first, self.fields = first, fields
        self.body, self.trailers = b"", []

    @property
    def status(self):
        return int(self.first.split(" ")[1])

    @property
    def method(self):
        return self.first.split(" ")[0]

    @property
    def path(self):
        return self.first.split(" ")[1]

    def all(self, name):
        return [value for field, value in self.fields if field == name]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class Closed(Exception):
    """The peer closed where more was due."""


class Wire:
    def __init__(self, peer, patience=PATIENCE):
        """`peer`: a port of 127.0.0.1 to connect to, or a connected socket."""
        self.socket = socket.create_connection(("127.0.0.1", peer), patience) if isinstance(peer, int) else peer
        self.socket.settimeout(patience)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.kept = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode("latin-1") if isinstance(data, str) else data)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def more(self):
        data = self.socket.recv(65536)
        self.kept += data
        return len(data) > 0

    def at_end(self):
        """Waits for a byte or the end; whether the peer has ended in order and nothing was left to read."""
        return not self.kept and not self.more()

    def line(self):
        while b"\r\n" not in self.kept:
            if not self.more():
                raise Closed(f"the connection ended after {self.kept!r}")
        line, self.kept = self.kept.split(b"\r\n", 1)
        return line.decode("latin-1")

    def exactly(self, size):
        while len(self.kept) < size:
            if not self.more():
                raise Closed(f"the connection ended {size - len(self.kept)} bytes early")
        data, self.kept = self.kept[:size], self.kept[size:]
        return data

    def to_end(self):
        while self.more():
            pass
        data, self.kept = self.kept, b""
        return data

    def fields(self):
        fields = []
        while True:
            line = self.line()
            if not line:
                return fields
            name, value = line.split(":", 1)
            fields.append((name.lower(), value.strip()))

    def head(self):
        return Message(self.line(), self.fields())

    def read_body(self, message, response_to=None):
        """By the framing the head declares; `response_to` names the method when the message is a response."""
        if response_to is not None and (response_to == "HEAD" or message.status in (204, 304) or message.status < 200):
            return message
        if message.get("transfer-encoding") == "chunked":
            while True:
                size = int(self.line().split(";")[0], 16)
                if size == 0:
                    break
                message.body += self.exactly(size)
                self.exactly(2)
            message.trailers = self.fields()
        elif message.get("content-length") is not None:
            message.body = self.exactly(int(message.get("content-length")))
        elif response_to is not None:
            message.body = self.to_end()
        return message

    def response(self, to="GET"):
        return self.read_body(self.head(), to)

    def request(self):
        return self.read_body(self.head())

    def get(self, path, host="orders", headers=""):
        self.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n")
        return self.response()


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


class RawApp:
    """An application on `port`: `serve(wire)` runs on a thread for each connection until it returns or the peer goes.
    What goes wrong in it is kept in `problems`."""

    def __init__(self, port, serve):
        self.serve = serve
        self.problems = []
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", port), backlog=256)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.run, args=(connection,), daemon=True).start()

    def run(self, connection):
        try:
            with Wire(connection, patience=None) as wire:
                self.serve(wire)
        except (OSError, Closed):
            pass  # the peer went
        except Exception as error:  # pylint: disable=broad-except
            self.problems.append(repr(error))

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()


class PathApp(RawApp):
    """Reads head after head and gives each to the function that `routes` has for its path: routes[path](wire, request).
    The function reads the body, and returns False to have the connection closed. `requests` keeps the heads."""

    def __init__(self, port, routes):
        self.routes = routes
        self.requests = []
        super().__init__(port, self.serve_requests)

    def serve_requests(self, wire):
        while True:
            if not wire.kept and not wire.more():
                return
            request = wire.head()
            self.requests.append(request)
            route = self.routes.get(request.path.split("?")[0])
            if route is None:
                self.problems.append(f"nobody answers {request.path}")
                return
            if route(wire, request) is False:
                return
