"""Connections that come and go as they like, on both sides: nobody else notices, and nothing is kept of them."""

import re
import socket
import struct
import threading
import unittest

import mesh
from steady import Steady
from wire import Closed, PathApp, Wire, chunk

BIG = 8 << 20


class ChurnTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.silent = False
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": cls.answer, "/big": cls.big, "/take": cls.take, "/forever": cls.forever}))

    @classmethod
    def answer(cls, wire, _request):
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        return not cls.silent  # an application that closes without having said so

    @staticmethod
    def big(wire, _request):
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BIG + b"b" * BIG)

    @staticmethod
    def take(wire, request):
        wire.read_body(request)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    @staticmethod
    def forever(wire, _request):
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            wire.send(chunk(b"x" * 1000))

    def metric(self, name, metric):
        found = re.findall(rf"^{metric}(?:{{[^}}]*}})? (\d+)$", self.admin(name, "/stats/prometheus"), re.M)
        self.assertTrue(found, f"no metric {metric}")
        return sum(map(int, found))

    def assert_nothing_kept(self):
        for name in ("client-1", "orders-1"):
            for metric in ("outrigger_requests_in_flight", "outrigger_upstream_requests_in_flight"):
                self.eventually(f"{metric} of {name} is 0", lambda: self.metric(name, metric) == 0)
        self.eventually("client-1 has no connection of a client",
                        lambda: self.metric("client-1", "outrigger_downstream_connections") == 0)
        self.assertEqual(self.app.problems, [])

    @staticmethod
    def reset(wire):
        wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        wire.socket.close()

    def test_an_application_that_closes_its_connections_unannounced_costs_no_request(self):
        type(self).silent = True
        try:
            with Steady(self.mesh.ports["client-1"]["listen"]) as load:
                self.eventually("requests flow", load.progressed(2000), seconds=60)
        finally:
            type(self).silent = False
        self.assertEqual(load.failures, [])
        self.assert_nothing_kept()

    def test_a_connection_for_each_request_costs_no_request(self):
        port, failures = self.mesh.ports["client-1"]["listen"], []

        def ask():
            for _ in range(300):
                try:
                    with Wire(port) as wire:
                        response = wire.get("/", headers="Connection: close\r\n")
                        if response.body != b"ok" or not wire.at_end():
                            failures.append(response.first)
                except (OSError, Closed) as error:
                    failures.append(repr(error))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(failures, [])
        self.assert_nothing_kept()

    def test_a_burst_of_callers_is_answered_whole(self):
        callers = [self.call() for _ in range(400)]
        for wire in callers:
            wire.send("GET / HTTP/1.1\r\nHost: orders\r\n\r\n")
        self.assertEqual({wire.response().status for wire in callers}, {200})
        for wire in callers:
            wire.socket.close()
        self.assert_nothing_kept()

    def test_clients_that_go_in_the_middle_disturb_nobody(self):
        ways = {
            "in the head": "GET / HTTP/1.1\r\nHost: or",
            "after the head": "GET /big HTTP/1.1\r\nHost: orders\r\n\r\n",
            "in the body": "POST /take HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\n" + "x" * 5000,
            "in a chunk": "POST /take HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n400\r\nxxx",
            "in the response": "GET /forever HTTP/1.1\r\nHost: orders\r\n\r\n",
        }
        with Steady(self.mesh.ports["client-1"]["listen"]) as load:
            for _ in range(20):
                for way, text in ways.items():
                    for leave in (self.reset, lambda wire: wire.socket.close()):
                        wire = self.call()
                        wire.send(text)
                        if way == "in the response":
                            wire.head()
                        leave(wire)
            self.eventually("requests go on", load.progressed(200))
        self.assertEqual(load.failures, [])
        self.assert_nothing_kept()


if __name__ == "__main__":
    unittest.main()
