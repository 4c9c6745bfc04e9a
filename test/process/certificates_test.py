"""Certificates that last seconds, renewed under load: no connection is cut and no request fails."""

import json
import threading
import unittest

import mesh
from steady import Steady
from wire import PathApp, chunk

RENEWALS = 3


class CertificatesTest(mesh.MeshTest):
    control_flags = ("--certificate-lifetime", "5s")

    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.enough = threading.Event()
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "/stream": cls.stream,
        }))

    @classmethod
    def stream(cls, wire, _request):
        """A chunk now and then until it is told that it was enough."""
        wire.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not cls.enough.wait(0.1):
            wire.send(chunk(b"tick "))
        wire.send(chunk(b"end") + b"0\r\n\r\n")

    def serial(self, name):
        return json.loads(self.admin(name, "/certs"))["certificates"][0]["cert_chain"][0]["serial_number"]

    def test_three_renewals_under_load_disturb_nobody(self):
        serials = {"client-1": [], "orders-1": []}

        def renewed():
            for name, seen in serials.items():
                serial = self.serial(name)
                if serial not in seen:
                    seen.append(serial)
            return all(len(seen) > RENEWALS for seen in serials.values()) or load.failures

        self.addCleanup(self.enough.set)
        with self.call(patience=60) as slow, Steady(self.mesh.ports["client-1"]["listen"], clients=4) as load:
            slow.send("GET /stream HTTP/1.1\r\nHost: orders\r\n\r\n")
            head = slow.head()
            self.eventually(f"{RENEWALS} renewals in both sidecars", renewed, seconds=60)
            # After the last renewal as before it.
            self.eventually("requests go on", load.progressed(200))
            self.enough.set()
            slow.read_body(head, "GET")
        self.assertEqual(load.failures, [])
        self.assertTrue(slow.kept == b"" and head.body.endswith(b"tick end"), head.body[-20:])
        self.assertGreater(head.body.count(b"tick"), 50)  # it began before the first renewal and outlived certificates
        self.assertEqual(self.app.problems, [])


if __name__ == "__main__":
    unittest.main()
