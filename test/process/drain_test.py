"""The end of a sidecar: nothing that is under way is lost, by SIGTERM or by POST /drain."""

import http.client
import signal
import threading
import unittest

import mesh
from wire import PathApp

SLOW_REQUESTS = 50


def post(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request("POST", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


class GatedTest(mesh.MeshTest):
    """client-1 -> orders-1; orders-1's application holds requests for /slow until the test lets them go. Each case drains the callee's
    sidecar and starts it again."""
    callee_flags = ()

    @classmethod
    def arrange(cls):
        cls.start_pair(callee_flags=cls.callee_flags)
        cls.gate = threading.Event()
        cls.waiting = threading.Semaphore(0)
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {"/slow": cls.slow, "/fast": cls.fast}))

    @classmethod
    def slow(cls, wire, _request):
        cls.waiting.release()
        cls.gate.wait(60)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")

    @staticmethod
    def fast(wire, _request):
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfast")

    def setUp(self):
        self.gate.clear()
        self.sidecar = self.mesh.sidecars["orders-1"]
        self.port = self.mesh.ports["orders-1"]
        if not self.sidecar.running():
            self.mesh.start_sidecar("orders-1")
        self.mesh.wait_ready("orders-1")
        mesh.wait_for("a request gets through", lambda: self.status_of("/fast") == 200)

    def tearDown(self):
        self.gate.set()
        if self.sidecar.running():
            self.sidecar.stop()
        self.assertEqual(self.app.problems, [])

    def status_of(self, path):
        with self.call() as wire:
            wire.send(f"GET {path} HTTP/1.1\r\nHost: orders\r\n\r\n")
            return wire.response().status

    def start_slow(self, count):
        """`count` requests that have all arrived at the application; their outcomes appear in the list."""
        outcomes = []

        def play():
            try:
                outcomes.append(self.status_of("/slow"))
            except Exception as error:  # pylint: disable=broad-except
                outcomes.append(repr(error))
        threads = [threading.Thread(target=play) for _ in range(count)]
        for thread in threads:
            thread.start()
        for _ in range(count):
            self.assertTrue(self.waiting.acquire(timeout=30), "the requests do not arrive")
        return threads, outcomes

    def ready(self):
        return mesh.get(self.port["admin"], "/ready")


class DrainTest(GatedTest):
    callee_flags = ("--drain-grace-ms", "500", "--drain-time", "60")

    def test_sigterm_lets_what_is_under_way_finish_and_ends_with_0(self):
        threads, outcomes = self.start_slow(SLOW_REQUESTS)
        self.sidecar.ask_to_end()
        self.eventually("it says that it drains", lambda: self.ready()[1].startswith(b"DRAINING"))
        self.assertEqual(self.ready()[0], 503)
        self.assertEqual(self.status_of("/fast"), 200, "new requests are served during the grace")
        # Past the grace: connections are refused, and the requests still wait.
        self.eventually("other workloads connect no more", lambda: not self.listens(self.port["inbound"]))
        self.assertTrue(self.sidecar.running())
        self.assertEqual(outcomes, [])
        self.gate.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(outcomes, [200] * SLOW_REQUESTS)
        self.assertEqual(self.sidecar.child.wait(20), 0)

    def test_drain_by_admin_lets_what_is_under_way_finish_and_the_process_stays(self):
        threads, outcomes = self.start_slow(SLOW_REQUESTS)
        self.assertEqual(post(self.port["admin"], "/drain"), (200, "OK\n"))
        self.assertEqual(self.ready()[0], 503)
        self.eventually("other workloads connect no more", lambda: not self.listens(self.port["inbound"]))
        self.gate.set()
        for thread in threads:
            thread.join(30)
        self.assertEqual(outcomes, [200] * SLOW_REQUESTS)
        self.assertTrue(self.sidecar.running())
        self.assertEqual(mesh.get(self.port["admin"], "/server_info")[0], 200)
        self.assertEqual(self.sidecar.stop(), 0)

    def test_keep_alive_connections_are_told_to_close_and_idle_ones_are_closed(self):
        # The application beside the sidecar calls out through it, twice on one connection; another one stays silent.
        with mesh.Wire(self.port["outbound"]) as busy, mesh.Wire(self.port["outbound"]) as idle:
            request = "GET /fast HTTP/1.1\r\nHost: orders\r\n\r\n"
            for wire in (busy, idle):
                wire.send(request)
                answer = wire.response()
                self.assertEqual((answer.status, answer.get("connection")), (200, None))
            self.sidecar.ask_to_end()
            self.eventually("it says that it drains", lambda: self.ready()[0] == 503)
            busy.send(request)
            answer = busy.response()
            self.assertEqual((answer.status, answer.get("connection")), (200, "close"))
            self.assertTrue(busy.at_end())
            self.assertTrue(idle.at_end())
        self.assertEqual(self.sidecar.child.wait(20), 0)

    def test_an_idle_sidecar_ends_soon_after_its_grace(self):
        self.sidecar.ask_to_end()
        self.assertEqual(self.sidecar.child.wait(10), 0)


class CutTest(GatedTest):
    """What does not end in time is cut, and the exit code says so."""
    callee_flags = ("--drain-grace-ms", "0", "--drain-time", "1")
    well = (0, 3)

    def test_requests_that_outlast_the_drain_time_are_cut_and_the_exit_code_is_3(self):
        threads, outcomes = self.start_slow(1)
        self.sidecar.ask_to_end()
        self.assertEqual(self.sidecar.child.wait(20), 3)
        for thread in threads:
            thread.join(30)
        self.assertEqual(len(outcomes), 1)
        self.assertNotEqual(outcomes[0], 200)


class TwiceTest(GatedTest):
    """A second SIGTERM means at once."""
    callee_flags = ("--drain-grace-ms", "0", "--drain-time", "3000")
    well = (0, 3)

    def test_a_second_sigterm_ends_at_once(self):
        threads, _ = self.start_slow(1)
        self.sidecar.ask_to_end()
        self.eventually("it says that it drains", lambda: self.ready()[0] == 503)
        self.sidecar.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.sidecar.child.wait(15), 3)
        self.gate.set()
        for thread in threads:
            thread.join(30)


if __name__ == "__main__":
    unittest.main()
