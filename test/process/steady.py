"""Steady load: keep-alive connections that ask as fast as they are answered, and remember everything that went wrong."""

import collections
import threading

from wire import Closed, Wire


class Steady:
    """`with Steady(port, clients) as load:` each client keeps one connection; one that is cut counts as a failure, because
    nobody asked for it. `load.by_body` counts the answers."""

    def __init__(self, port, clients=4, path="/", host="orders"):
        self.port, self.path, self.host = port, path, host
        self.lock = threading.Lock()
        self.answered = 0
        self.by_body = collections.Counter()
        self.failures = []
        self.running = True
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.running = False
        for thread in self.threads:
            thread.join()

    def run(self):
        wire = None
        while self.running:
            try:
                wire = wire or Wire(self.port)
                response = wire.get(self.path, self.host)
                if response.status != 200:
                    raise Closed(f"{response.status} {response.body.decode(errors='replace').strip()}")
                if response.get("connection", "").lower() == "close":
                    wire = self.leave(wire)
                with self.lock:
                    self.answered += 1
                    self.by_body[response.body.decode()] += 1
            except (OSError, Closed, ValueError, IndexError) as error:
                wire = self.leave(wire)
                with self.lock:
                    self.failures.append(repr(error))
        self.leave(wire)

    @staticmethod
    def leave(wire):
        if wire is not None:
            wire.socket.close()

    def counts(self):
        with self.lock:
            return collections.Counter(self.by_body)

    def progressed(self, requests):
        """A condition to wait for: so many more answers than now, or a failure, which ends the waiting."""
        goal = self.answered + requests
        return lambda: self.answered >= goal or self.failures
