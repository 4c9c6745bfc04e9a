"""The outbound port as an explicit proxy, and connections that become something else."""

import socket
import unittest

import mesh
from wire import PathApp, Wire


def talk(wire, request):
    """An upgraded connection that answers every line in capitals, and ends when the caller does."""
    wire.send(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {request.get('upgrade')}\r\n\r\n")
    while True:
        wire.send(wire.line().upper() + "\r\n")


class OutboundTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
            "/talk": talk,
            "/no-talk": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhttp"),
        }))

    def outbound(self):
        return Wire(self.mesh.ports["client-1"]["outbound"])

    def test_the_host_names_the_service_in_every_usual_form(self):
        with self.outbound() as wire:
            for host in ("orders", "orders:80", "orders.default", "orders.default.svc", "orders.default.svc.cluster.local",
                         "orders.default.svc.cluster.local:80", "ORDERS.default"):
                with self.subTest(host=host):
                    self.assertEqual(wire.get("/", host=host).status, 200)

    def test_a_target_in_absolute_form_names_the_service_whatever_the_host_says(self):
        with self.outbound() as wire:
            wire.send("GET http://orders.default/ HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
            self.assertEqual(wire.response().status, 200)
        # RFC 9112 3.2.2: the target's host replaces Host, and a server gets the origin form.
        self.assertEqual((self.app.requests[-1].path, self.app.requests[-1].all("host")), ("/", ["orders.default"]))

    def test_a_host_that_nobody_declared_is_404_and_says_so(self):
        with self.outbound() as wire:
            for host in ("nobody", "orders.elsewhere", "orders:81", "127.0.0.1"):
                response = wire.get("/", host=host)
                self.assertEqual((response.status, response.get("x-outrigger-reason")), (404, "no-such-service"), host)
                self.assertIn(host.split(":")[0], response.body.decode())

    def test_an_upgraded_connection_carries_bytes_both_ways_until_one_side_ends(self):
        with self.call() as wire:
            wire.send("GET /talk HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            head = wire.head()
            self.assertEqual((head.status, head.get("upgrade")), (101, "websocket"))
            for word in ("one", "two", "three"):
                wire.send(word + "\r\n")
                self.assertEqual(wire.line(), word.upper())
            wire.half_close()
            self.assertTrue(wire.at_end())

    def test_an_upgrade_that_the_application_does_not_want_is_an_ordinary_request(self):
        with self.call() as wire:
            response = wire.get("/no-talk", headers="Connection: Upgrade\r\nUpgrade: websocket\r\n")
            self.assertEqual((response.status, response.body), (200, b"http"))
            self.assertEqual(wire.get("/").body, b"ok")

    def test_an_application_that_is_not_there_is_503_and_the_reason_is_told(self):
        nowhere = mesh.free_ports(1)[0]
        self.mesh.ports["gone-1"] = {**self.mesh.ports["orders-1"], "inbound": nowhere}
        self.mesh.write("gone.yaml", mesh.service_yaml("gone", "app: gone"),
                        mesh.workload_yaml("gone-1", "app: gone", self.mesh.ports["gone-1"], "gone"))

        def known():
            with self.outbound() as wire:
                return wire.get("/", host="gone").status != 404

        self.eventually("the service is known", known)
        with self.outbound() as wire:
            response = wire.get("/", host="gone")
        self.assertEqual((response.status, response.get("x-outrigger-reason")), (503, "connect-refused"), response.body)
        self.assertIn("gone", response.body.decode())


class ListenPortTest(mesh.MeshTest):
    """A port that the workload declares for itself, held by somebody else when the sidecar starts."""

    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {
            "/": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")}))

    def test_a_port_that_is_taken_is_told_and_served_once_it_is_free(self):
        sidecar = self.mesh.sidecars["client-1"]
        self.assertEqual(sidecar.stop(), 0)
        with socket.create_server(("127.0.0.1", self.mesh.ports["client-1"]["listen"])):
            self.mesh.start_sidecar("client-1")
            self.eventually("its log tells of the port", lambda: "a declared port cannot be served" in sidecar.log_text())
        self.eventually("the port is served", lambda: self.listens(self.mesh.ports["client-1"]["listen"]))
        with self.call() as wire:
            self.assertEqual(wire.get("/").status, 200)
        self.assertEqual(sidecar.log_text().count("a declared port cannot be served"), 1)


if __name__ == "__main__":
    unittest.main()
