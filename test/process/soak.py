#!/usr/bin/env python3
"""A minute of load through a pair of sidecars, by hand: not one error, and no memory that stays behind.

    test/process/soak.py [--seconds 60] [--connections 64] [--rounds 3]

Runs what tools/build made (or the programs in the folder OUTRIGGER_BIN), with wrk where it is installed and threads of our own
otherwise. Ends with 0 when no request failed and the last rounds did not grow what the sidecars hold by more than a MiB.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

import mesh
from steady import Steady
from wire import PathApp

NAMES = ("client-1", "orders-1")
BODY = "o" * 1000
ANSWER = f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\nContent-Type: text/plain\r\n\r\n{BODY}"


def load(port, connections, seconds):
    """(requests, what went wrong)"""
    if shutil.which("wrk") is None:
        with Steady(port, clients=connections) as steady:
            time.sleep(seconds)
        return steady.answered, "; ".join(steady.failures[:3])
    done = subprocess.run(["wrk", "-t", "2", "-c", str(connections), "-d", f"{seconds}s", "--timeout", "20s", "-H", "Host: orders",
                           f"http://127.0.0.1:{port}/"], capture_output=True, text=True, timeout=seconds + 60, check=True)
    wrong = [line.strip() for line in done.stdout.splitlines() if "errors" in line or "Non-2xx" in line]
    return int(re.search(r"(\d+) requests in", done.stdout).group(1)), "; ".join(wrong)


def run(arguments, folder):
    pair = mesh.LocalMesh(os.path.join(folder, "m"), mesh.binaries())
    pair.ports_of(*NAMES)
    ports = pair.ports
    pair.write("mesh.yaml", mesh.service_yaml("orders", "app: orders"),
               mesh.workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
               mesh.workload_yaml("orders-1", "app: orders", ports["orders-1"], "orders"))
    PathApp(ports["orders-1"]["app"], {"/": lambda wire, request: wire.send(ANSWER)})
    well, held = True, []
    try:
        pair.start_control()
        for name in NAMES:
            pair.start_sidecar(name, ["--workers", "1"])
        pair.wait_ready()
        print("idle: " + ", ".join(f"{name} {pair.sidecars[name].memory_mib():.1f} MiB" for name in NAMES))
        for number in range(arguments.rounds):
            requests, wrong = load(ports["client-1"]["listen"], arguments.connections, arguments.seconds)
            held.append([pair.sidecars[name].memory_mib() for name in NAMES])
            print(f"round {number + 1}: {requests} requests, {requests / arguments.seconds:.0f} a second, {wrong or 'no errors'}; "
                  + ", ".join(f"{name} {mib:.1f} MiB" for name, mib in zip(NAMES, held[-1])), flush=True)
            well = well and requests > 0 and not wrong
        if len(held) > 2 and any(last - first > 1 for first, last in zip(held[1], held[-1])):
            print("what the sidecars hold grows from round to round")
            well = False
    finally:
        codes = pair.stop()
    if any(codes.values()):
        print(f"not a clean end: {codes}")
    return well and not any(codes.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="soak-")
    try:
        return 0 if run(arguments, folder) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
