"""How long a saved file takes to be in force in every proxy, with running programs: many sidecars, one control plane, one machine.

    python3 test/process/propagation.py [--sidecars 20] [--changes 30]

Every change is a route that answers with another redirect; every sidecar is asked over a connection of its own until it gives the
new answer. Prints, over all changes, the time from the save to each sidecar, and to the last one. Runs what tools/build made, or
what OUTRIGGER_BIN names; a figure for people, not a test, because it is a time.
"""

import argparse
import os
import shutil
import socket
import statistics
import tempfile
import threading
import time

from mesh import LocalMesh, binaries, service_yaml, wait_for, workload_yaml

ROUTE = """apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: moved, namespace: default}
spec:
  parentRefs: [{group: "", kind: Service, name: orders}]
  rules: [{filters: [{type: RequestRedirect, requestRedirect: {path: {type: ReplaceFullPath, replaceFullPath: /%d}}}]}]
"""
ASK = b"GET / HTTP/1.1\r\nHost: orders.default\r\n\r\n"


class Watcher(threading.Thread):
    """Asks one sidecar again and again; notes when each answer was seen first."""

    def __init__(self, port, pause_s):
        super().__init__(daemon=True)
        self.port, self.pause_s, self.seen, self.ended = port, pause_s, {}, False

    def run(self):
        with socket.create_connection(("127.0.0.1", self.port), 5) as connection:
            connection.settimeout(5)
            buffer = b""
            while not self.ended:
                connection.sendall(ASK)
                while b"\r\n\r\n" not in buffer:
                    buffer += connection.recv(65536)
                head, buffer = buffer.split(b"\r\n\r\n", 1)
                for line in head.lower().split(b"\r\n"):
                    if line.startswith(b"location:"):
                        self.seen.setdefault(int(line.rsplit(b"/", 1)[1]), time.monotonic())
                    elif line.startswith(b"content-length:"):
                        while len(buffer) < int(line.split(b":")[1]):
                            buffer += connection.recv(65536)
                        buffer = buffer[int(line.split(b":")[1]):]
                time.sleep(self.pause_s)


def figures(name, seconds):
    ordered = sorted(seconds)
    p99 = ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)]
    print(f"{name}: p50 {statistics.median(ordered) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, max {ordered[-1] * 1000:.0f} ms "
          f"of {len(ordered)}")


def measure(mesh, options):
    names = [f"web-{i}" for i in range(options.sidecars)]
    mesh.ports_of(*names)
    mesh.write("mesh.yaml", service_yaml("orders", "app: orders"),
               *(workload_yaml(name, "app: web", mesh.ports[name], "web") for name in names))
    mesh.write("route.yaml", ROUTE % 0)
    mesh.start_control()
    for name in names:
        mesh.start_sidecar(name, ["--workers", "1"])
    mesh.wait_ready()
    watchers = [Watcher(mesh.ports[name]["outbound"], options.pause_ms / 1000) for name in names]
    for watcher in watchers:
        watcher.start()
    each, last = [], []
    for change in range(1, options.changes + 1):
        time.sleep(0.05 + 0.013 * (change % 7))
        mesh.write("route.yaml", ROUTE % change)
        saved = time.monotonic()
        wait_for(f"change {change} everywhere", lambda: all(change in watcher.seen for watcher in watchers))
        times = [watcher.seen[change] - saved for watcher in watchers]
        each += times
        last.append(max(times))
    for watcher in watchers:
        watcher.ended = True
    for watcher in watchers:
        watcher.join()
    figures("in force in one sidecar", each)
    figures(f"in force in all {options.sidecars}", last)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--sidecars", type=int, default=20)
    parser.add_argument("--changes", type=int, default=30)
    parser.add_argument("--pause-ms", type=float, default=10)
    folder = tempfile.mkdtemp(prefix="mesh-")
    mesh = LocalMesh(os.path.join(folder, "m"), binaries())
    try:
        measure(mesh, parser.parse_args())
    finally:
        mesh.stop()
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
