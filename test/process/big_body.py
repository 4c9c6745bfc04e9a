#!/usr/bin/env python3
"""Gigabytes through a pair of sidecars, by hand: both ways byte for byte, and what the sidecars hold meanwhile.

    test/process/big_body.py [--gib 4] [--limit-mib 40] [--stall 10]

Runs what tools/build made. Sends a body of --gib GiB as a request, then as a response, with a receiver that stops reading for
--stall seconds half way. Ends with 0 when every byte arrived and no sidecar ever held more than --limit-mib (VmHWM).
"""

import argparse
import hashlib
import os
import shutil
import sys
import tempfile
import threading
import time

import mesh
from wire import PathApp, Wire

BLOCK = os.urandom(1 << 20)
NAMES = ("client-1", "orders-1")


class Body:
    """`size` MiB, each different from the others; the receiver's side pauses half way."""

    def __init__(self, size, stall):
        self.size, self.stall = size << 20, stall
        self.sent, self.received = hashlib.sha256(), hashlib.sha256()
        self.gone_off = 0
        self.before_stall = self.after_stall = None

    def send(self, wire):
        for number in range(self.size >> 20):
            head = number.to_bytes(8, "big")
            self.sent.update(head)
            self.sent.update(memoryview(BLOCK)[8:])
            wire.send(head)
            wire.socket.sendall(memoryview(BLOCK)[8:])
            self.gone_off += len(BLOCK)

    def receive(self, wire):
        left, pause_at = self.size, self.size // 2
        buffer = bytearray(1 << 18)
        while left > 0:
            if wire.kept:
                data, wire.kept = wire.kept, b""
            else:
                count = wire.socket.recv_into(buffer, min(left, len(buffer)))
                if count == 0:
                    raise EOFError(f"{left} bytes are missing")
                data = memoryview(buffer)[:count]
            self.received.update(data)
            left -= len(data)
            if self.stall and left <= pause_at:
                pause_at = -1
                time.sleep(min(1, self.stall))  # until what is on its way has filled every buffer
                self.before_stall = self.gone_off
                time.sleep(self.stall)
                self.after_stall = self.gone_off


def measured(title, sidecars, body, transfer, limit):
    began = time.monotonic()
    transfer()
    seconds = time.monotonic() - began
    same = body.sent.hexdigest() == body.received.hexdigest()
    most = {name: sidecars[name].memory_mib("VmHWM") for name in NAMES}
    now = {name: sidecars[name].memory_mib("VmRSS") for name in NAMES}
    rate = (body.size >> 20) / (seconds - body.stall - min(1, body.stall))
    print(f"{title}: {body.size >> 20} MiB in {seconds:.1f} s ({rate:.0f} MiB/s without the pause), "
          f"{'byte for byte' if same else 'NOT THE SAME BYTES'}")
    for name in NAMES:
        print(f"  {name}: {most[name]:.1f} MiB at most, {now[name]:.1f} MiB now")
    held = True
    if body.stall:
        grown = (body.after_stall - body.before_stall) >> 20
        held = grown == 0
        print(f"  while the receiver stood still for {body.stall} s the sender sent {grown} MiB")
    return same and held and max(most.values()) < limit


def run(arguments, folder):
    pair = mesh.LocalMesh(os.path.join(folder, "m"), mesh.binaries())
    pair.ports_of(*NAMES)
    ports = pair.ports
    pair.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"),
               mesh.workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
               mesh.workload_yaml("orders-1", "app: orders", ports["orders-1"], "orders"))
    up, down = Body(arguments.gib << 10, arguments.stall), Body(arguments.gib << 10, arguments.stall)

    def take(wire, _request):
        up.receive(wire)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    def give(wire, _request):
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {down.size}\r\n\r\n")
        down.send(wire)

    app = PathApp(ports["orders-1"]["app"], {"/take": take, "/give": give})
    try:
        pair.start_control()
        for name in NAMES:
            pair.start_sidecar(name, ["--workers", "1"])
        pair.wait_ready()
        print("idle: " + ", ".join(f"{name} {pair.sidecars[name].memory_mib():.1f} MiB" for name in NAMES))

        def post():
            with Wire(ports["client-1"]["listen"], patience=600) as wire:
                wire.send(f"POST /take HTTP/1.1\r\nHost: orders\r\nContent-Length: {up.size}\r\n\r\n")
                up.send(wire)
                if wire.response().status != 200:
                    raise EOFError("no good answer")

        def fetch():
            with Wire(ports["client-1"]["listen"], patience=600) as wire:
                wire.send("GET /give HTTP/1.1\r\nHost: orders\r\n\r\n")
                wire.head()
                down.receive(wire)

        well = measured("request", pair.sidecars, up, post, arguments.limit_mib)
        well = measured("response", pair.sidecars, down, fetch, arguments.limit_mib) and well
        return well and not app.problems
    finally:
        pair.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gib", type=int, default=4)
    parser.add_argument("--limit-mib", type=int, default=40)
    parser.add_argument("--stall", type=int, default=10, help="seconds; 0: none")
    arguments = parser.parse_args()
    threading.excepthook = lambda problem: print(f"big_body: {problem.exc_value!r}", file=sys.stderr)
    folder = tempfile.mkdtemp(prefix="big-body-")
    try:
        return 0 if run(arguments, folder) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
