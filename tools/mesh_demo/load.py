"""Load through the mesh: GETs on a few threads, counted by which replica of the last service answered."""

import collections
import http.client
import json
import threading
import time


class Load:
    def __init__(self, port, clients):
        self.port = port
        self.lock = threading.Lock()
        self.good = self.failed = 0
        self.by_replica = collections.Counter()
        self.callers = {}
        self.first_failures = []
        self.running = True
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(clients)]

    def start(self):
        for thread in self.threads:
            thread.start()

    def stop(self):
        self.running = False
        for thread in self.threads:
            thread.join(35)

    def run(self):
        connection = None
        while self.running:
            try:
                if connection is None:
                    connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
                connection.request("GET", "/")
                answer = connection.getresponse()
                body = answer.read()
                if answer.status != 200:
                    raise RuntimeError(f"{answer.status} {body.decode(errors='replace').strip()}")
                self.count(json.loads(body))
            except Exception as error:  # pylint: disable=broad-except
                connection = None
                with self.lock:
                    self.failed += 1
                    if len(self.first_failures) < 5:
                        self.first_failures.append(str(error) or type(error).__name__)
            time.sleep(0.01)

    def count(self, reply):
        orders = reply["next"]
        inventory = orders["next"]
        with self.lock:
            self.good += 1
            self.by_replica[inventory["service"]] += 1
            self.callers["orders"] = orders["caller"]
            self.callers["inventory"] = inventory["caller"]

    def snapshot(self):
        """(answered, failed, answered by replica) up to now."""
        with self.lock:
            return self.good, self.failed, collections.Counter(self.by_replica)
