"""Three replicas that now and then cut a connection where it hurts: what is safe to send again is, and never fails; what is not
runs once at most, and whoever sent it is told when nobody can know."""

import collections
import itertools
import socket
import struct
import threading
import unittest

import mesh
from wire import Closed, PathApp, Wire

REPLICAS = ("orders-1", "orders-2", "orders-3")
EVERY = 40  # one request in so many meets a fault, at each replica


class FaultsTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.mesh.ports_of("client-1", *REPLICAS)
        ports = cls.mesh.ports
        cls.mesh.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"),
                       mesh.workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
                       *(mesh.workload_yaml(name, "app: orders", ports[name], "orders") for name in REPLICAS))
        cls.mesh.start_control()
        for name in ports:
            cls.mesh.start_sidecar(name, ["--workers", "2" if name == "client-1" else "1"])
        cls.mesh.wait_ready()
        cls.lock = threading.Lock()
        cls.acted = collections.Counter()
        cls.turns = {name: itertools.count(index * EVERY // 3) for index, name in enumerate(REPLICAS)}
        for name in REPLICAS:
            cls.add_app(PathApp(ports[name]["app"], {"/": lambda wire, request, name=name: cls.serve(name, wire, request)}))

    @classmethod
    def serve(cls, name, wire, request):
        with cls.lock:
            turn = next(cls.turns[name])
        fault = turn // EVERY % 3 if turn % EVERY == 0 else None
        if fault == 0:  # before it has read the body
            return cls.cut(wire)
        wire.read_body(request)
        with cls.lock:
            cls.acted[request.get("x-id")] += 1
        if fault == 1:  # it has done what it was asked for, and cannot say so
            return cls.cut(wire)
        if fault == 2:  # an orderly end without an answer
            return False
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return True

    @staticmethod
    def cut(wire):
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

    def play(self, text, requests=600, clients=4):
        """Responses by id, from `clients` keep-alive connections."""
        port, answers, names = self.mesh.ports["client-1"]["listen"], {}, itertools.count()

        def ask():
            wire = Wire(port)
            for _ in range(requests // clients):
                with self.lock:
                    name = f"{self.id()}-{next(names)}"
                try:
                    wire.send(text.format(id=name))
                    answers[name] = wire.response()
                    if answers[name].get("connection", "").lower() == "close":
                        wire.socket.close()
                        wire = Wire(port)
                except (OSError, Closed) as error:
                    answers[name] = error
                    wire.socket.close()
                    wire = Wire(port)
            wire.socket.close()

        threads = [threading.Thread(target=ask) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return answers

    def assert_all_answered(self, answers):
        bad = {name: getattr(answer, "body", answer) for name, answer in answers.items()
               if getattr(answer, "status", None) != 200}
        self.assertEqual(bad, {})

    def test_reads_never_fail(self):
        answers = self.play("GET / HTTP/1.1\r\nHost: orders\r\nx-id: {id}\r\n\r\n")
        self.assertEqual(len(answers), 600)
        self.assert_all_answered(answers)

    def test_writes_with_an_idempotency_key_never_fail(self):
        answers = self.play("POST / HTTP/1.1\r\nHost: orders\r\nx-id: {id}\r\nIdempotency-Key: {id}\r\nContent-Length: 4\r\n\r\nbody")
        self.assert_all_answered(answers)

    def test_other_writes_run_once_at_most_and_an_unknown_outcome_is_said(self):
        answers = self.play("POST / HTTP/1.1\r\nHost: orders\r\nx-id: {id}\r\nContent-Length: 4\r\n\r\nbody")
        self.assertEqual({name: count for name, count in self.acted.items() if count > 1 and name in answers}, {})
        unknown = 0
        for name, answer in answers.items():
            self.assertIsNotNone(getattr(answer, "status", None), f"{name} got no answer but {answer!r}")
            if answer.status == 200:
                self.assertEqual(self.acted[name], 1, f"{name} was answered and never ran")
                continue
            unknown += 1
            self.assertEqual(answer.status, 503, answer.body)
            self.assertIn("may have acted", answer.body.decode())
        self.assertGreater(unknown, 0, "no fault was met: the test shows nothing")


if __name__ == "__main__":
    unittest.main()
