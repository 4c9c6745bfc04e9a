"""Large bodies through a pair of sidecars: the same bytes come out, whoever is slow, and the sidecars hold almost none of them."""

import hashlib
import threading
import unittest

import mesh
from wire import PathApp

BLOCK = bytes(range(256)) * 1024  # 256 KiB
BLOCKS = 256                      # 64 MiB
ROOM = 24                         # MiB that a sidecar may grow by; the body is far larger


def block(number):
    return number.to_bytes(8, "big") + BLOCK[8:]


def whole():
    digest = hashlib.sha256()
    for number in range(BLOCKS):
        digest.update(block(number))
    return digest.hexdigest()


class BodyTest(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair()
        cls.read_on = threading.Event()
        cls.read_on.set()
        cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], {"/take": cls.take, "/give": cls.give}))

    @classmethod
    def take(cls, wire, request):
        """Answers with the digest of what it was sent, having stopped at the first block for as long as it is told to."""
        digest, left = hashlib.sha256(), int(request.get("content-length"))
        while left > 0:
            data = wire.kept or wire.socket.recv(1 << 18)
            wire.kept = b""
            if not data:
                return False
            digest.update(data)
            left -= len(data)
            cls.read_on.wait()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{digest.hexdigest()}")
        return True

    @classmethod
    def give(cls, wire, _request):
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {BLOCKS * len(BLOCK)}\r\n\r\n")
        for number in range(BLOCKS):
            wire.send(block(number))

    def memory(self):
        return {name: self.mesh.sidecars[name].memory_mib("VmHWM") for name in ("client-1", "orders-1")}

    def assert_little_held(self, before):
        for name, most in self.memory().items():
            self.assertLess(most - before[name], ROOM, f"{name} grew from {before[name]} to {most} MiB")

    def post(self, wire, sent=None):
        wire.send(f"POST /take HTTP/1.1\r\nHost: orders\r\nContent-Length: {BLOCKS * len(BLOCK)}\r\n\r\n")
        for number in range(BLOCKS):
            wire.send(block(number))
            if sent is not None:
                sent.append(number)

    def test_a_request_body_arrives_byte_for_byte(self):
        before = self.memory()
        with self.call() as wire:
            self.post(wire)
            self.assertEqual(wire.response().body.decode(), whole())
        self.assert_little_held(before)

    def test_a_response_body_arrives_byte_for_byte(self):
        before = self.memory()
        with self.call() as wire:
            wire.send("GET /give HTTP/1.1\r\nHost: orders\r\n\r\n")
            head = wire.head()
            digest, left = hashlib.sha256(wire.kept), int(head.get("content-length")) - len(wire.kept)
            while left > 0:
                data = wire.socket.recv(1 << 18)
                self.assertTrue(data, f"{left} bytes are missing")
                digest.update(data)
                left -= len(data)
        self.assertEqual(digest.hexdigest(), whole())
        self.assert_little_held(before)

    def test_a_receiver_that_stops_reading_stops_the_sender_and_nothing_piles_up(self):
        before = self.memory()
        self.read_on.clear()
        sent = []
        with self.call() as wire:
            sender = threading.Thread(target=self.post, args=(wire, sent))
            sender.start()
            try:
                self.wait_for_a_standstill(sent)
                self.assertLess(len(sent), BLOCKS, "the whole body went off although nobody read it")
                self.assert_little_held(before)
            finally:
                self.read_on.set()
                sender.join()
            self.assertEqual(wire.response().body.decode(), whole())
        self.assert_little_held(before)

    def wait_for_a_standstill(self, sent):
        """Until a hundred looks in a row, 20 ms apart, saw nothing more go off."""
        seen = []

        def stands():
            seen.append(len(sent))
            return len(seen) > 100 and seen[-1] > 0 and seen[-1] == seen[-100]

        self.eventually("the sender is held back", stands)

    def test_a_caller_that_stops_reading_stops_the_application(self):
        before = self.memory()
        with self.call() as wire:
            wire.send("GET /give HTTP/1.1\r\nHost: orders\r\n\r\n")
            wire.head()
            # What the callee's sidecar has taken from the application stands still while the caller reads nothing.
            taken = []

            def stands():
                taken.append(self.mesh.sidecars["orders-1"].memory_mib("VmRSS"))
                return len(taken) > 50

            self.eventually("50 looks", stands)
            self.assert_little_held(before)


if __name__ == "__main__":
    unittest.main()
