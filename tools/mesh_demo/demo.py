"""The demo: a control plane, three services (web -> orders -> inventory x 3) with a sidecar each, and load through all of it
while things are killed, changed and brought back. Every claim on the screen is measured, and one that fails fails the demo.

Run it by tools/demo, which builds first.
"""

import argparse
import collections
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.path.join(HERE, "..", "..", "bin")
CLIENTS = 6
REPLICAS = ("inventory-1", "inventory-2", "inventory-3")
TRUST = "spiffe://cluster.local/ns/default/sa/"


class Failed(Exception):
    """One sentence: what was expected and what happened."""


def free_ports(count):
    """Ports that nobody listens on now, taken together so that they differ."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]
    finally:
        for s in sockets:
            s.close()


class Process:
    """A child process that can be started again with the same command."""

    def __init__(self, name, command, log_dir, env=None):
        self.name, self.command, self.env = name, command, env
        self.log = os.path.join(log_dir, name + ".log")
        self.child = None

    def start(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(self.env or {})}, start_new_session=True)

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, seconds=15):
        if self.child is None or self.child.poll() is not None:
            return
        self.child.send_signal(signal.SIGTERM)
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def check_alive(self):
        if self.child.poll() is not None:
            with open(self.log, errors="replace") as log:
                last = log.read().strip().splitlines()[-1:]
            raise Failed(f"{self.name} ended with code {self.child.returncode}: {' '.join(last)}")


def get(port, path="/", timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def wait_for(what, condition, seconds=30):
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.05)


class Load:
    """GETs through the whole mesh on a few threads, counted by which inventory replica answered."""

    def __init__(self, port):
        self.port = port
        self.lock = threading.Lock()
        self.good = self.failed = 0
        self.by_replica = collections.Counter()
        self.callers = {}
        self.first_failures = []
        self.running = True
        self.threads = [threading.Thread(target=self.run, daemon=True) for _ in range(CLIENTS)]

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
                        self.first_failures.append(str(error))
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
        with self.lock:
            return self.good, self.failed, collections.Counter(self.by_replica)


class Mesh:
    """All processes of the demo in one folder of their own."""

    def __init__(self, folder):
        self.folder = folder
        self.config = os.path.join(folder, "mesh")
        self.logs = os.path.join(folder, "logs")
        for path in (self.config, self.logs):
            os.makedirs(path)
        self.names = ["web-1", "orders-1", *REPLICAS]
        ports = iter(free_ports(2 + 7 * len(self.names)))
        self.xds, self.control_admin = next(ports), next(ports)
        kinds = ("app", "outbound", "inbound", "admin", "telemetry", "listen", "spare")
        self.ports = {name: {kind: next(ports) for kind in kinds} for name in self.names}
        self.apps, self.sidecars = {}, {}
        self.control = Process("control", [os.path.join(BIN, "outrigger-control"), "--config-dir", self.config, "--data-dir",
                                           os.path.join(folder, "control"), "--xds", f"127.0.0.1:{self.xds}", "--admin",
                                           f"127.0.0.1:{self.control_admin}"], self.logs)

    def write_objects(self):
        documents = []
        for service, labels in (("orders", "app: orders"), ("inventory", "app: inventory"),
                                ("inventory-stable", "app: inventory, version: stable"),
                                ("inventory-canary", "app: inventory, version: canary")):
            documents.append(f"""\
                apiVersion: v1
                kind: Service
                metadata: {{name: {service}, namespace: default}}
                spec:
                  selector: {{{labels}}}
                  ports: [{{name: http, port: 80, targetPort: http, appProtocol: http}}]
                """)
        listens = {"web-1": "orders", "orders-1": "inventory"}
        for name in self.names:
            app = name.rsplit("-", 1)[0]
            version = ", version: " + ("canary" if name == "inventory-3" else "stable") if app == "inventory" else ""
            listen = (f"\n                  listen: [{{port: {self.ports[name]['listen']}, service: {listens[name]}, servicePort: 80}}]"
                      if name in listens else "")
            documents.append(f"""\
                apiVersion: outrigger.dev/v1
                kind: Workload
                metadata: {{name: {name}, namespace: default, labels: {{app: {app}{version}}}}}
                spec:
                  address: 127.0.0.1
                  inboundPort: {self.ports[name]['inbound']}
                  serviceAccount: {app}
                  ports: {{http: {self.ports[name]['app']}}}{listen}
                """)
        path = os.path.join(self.config, "mesh.yaml")
        with open(path, "w") as out:
            out.write("---\n".join(textwrap.dedent(d) for d in documents))

    def cli(self, *arguments):
        command = [os.path.join(BIN, "outrigger"), "--control", f"127.0.0.1:{self.control_admin}", "--data-dir",
                   os.path.join(self.folder, "control"), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"outrigger {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def start(self):
        self.write_objects()
        self.control.start()
        wait_for("the control plane is ready", lambda: self.control.check_alive() or self.control_ready())
        for name in self.names:
            self.start_app(name)
            self.start_sidecar(name)
        wait_for("every sidecar is ready", lambda: all(self.sidecar_ready(name) for name in self.names))
        wait_for("the services answer", lambda: self.answers(self.ports["web-1"]["app"]))

    def start_app(self, name):
        if name not in self.apps:
            ports = self.ports[name]
            following = [] if name in REPLICAS else [f"http://127.0.0.1:{ports['listen']}/"]
            self.apps[name] = Process(name + ".app", [sys.executable, os.path.join(HERE, "service.py"), name, str(ports["app"]), *following],
                                      self.logs)
        self.apps[name].start()

    def start_sidecar(self, name):
        if name not in self.sidecars:
            token = os.path.join(self.folder, name + ".token")
            with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(self.cli("token", "create", "--workload", "default/" + name))
            ports = self.ports[name]
            command = [os.path.join(BIN, "outrigger-proxy"), "--control", f"127.0.0.1:{self.xds}", "--workload", "default/" + name,
                       "--token-file", token, "--data-dir", os.path.join(self.folder, name)]
            for kind in ("outbound", "inbound", "admin", "telemetry"):
                command += ["--" + kind, f"127.0.0.1:{ports[kind]}"]
            self.sidecars[name] = Process(name + ".sidecar", command + ["--workers", "1"], self.logs)
        self.sidecars[name].start()

    def control_ready(self):
        try:
            return get(self.control_admin, "/ready", 2)[0] == 200
        except OSError:
            return False

    def sidecar_ready(self, name):
        self.sidecars[name].check_alive()
        try:
            return get(self.ports[name]["admin"], "/ready", 2)[0] == 200
        except OSError:
            return False

    @staticmethod
    def answers(port):
        try:
            return get(port, "/", 5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def connected_proxies(self):
        return sum(1 for proxy in json.loads(self.cli("status", "-o", "json"))["proxies"] if proxy.get("connected"))

    def stop(self):
        for process in [*self.sidecars.values(), *self.apps.values(), self.control]:
            if process.child is not None and process.child.poll() is None:
                process.child.send_signal(signal.SIGTERM)
        for process in [*self.sidecars.values(), *self.apps.values(), self.control]:
            process.stop()

    def resident_mib(self, name):
        with open(f"/proc/{self.sidecars[name].child.pid}/smaps_rollup") as smaps:
            return int(re.search(r"^Rss:\s+(\d+)", smaps.read(), re.M).group(1)) / 1024


class Screen:
    """A table of what was shown, a row a step; on a terminal the running step is redrawn in place."""

    def __init__(self):
        self.live = sys.stdout.isatty()
        print(f"\n{'':2}{'step':<44}{'requests':>9} {'failed':>7}  what was seen")
        print("  " + "-" * 110)

    def row(self, mark, step, good, failed, seen):
        line = f"{mark:<2}{step:<44}{good:>9} {failed:>7}  {seen}"
        if self.live:
            print("\r\033[K" + line, flush=True)
        elif mark.strip():
            print(line, flush=True)

    def running(self, step, good, failed, seen):
        if self.live:
            width = shutil.get_terminal_size().columns
            print("\r\033[K" + f"… {step:<44}{good:>9} {failed:>7}  {seen}"[:width - 1], end="", flush=True)


class Story:
    """The steps, each measured on its own under the running load."""

    def __init__(self, mesh, load, screen):
        self.mesh, self.load, self.screen = mesh, load, screen

    def step(self, title, action):
        good, failed, replicas = self.load.snapshot()

        def since():
            now_good, now_failed, now_replicas = self.load.snapshot()
            return now_good - good, now_failed - failed, now_replicas - replicas

        seen = action(title, since)
        count, errors, _ = since()
        if errors:
            self.screen.row("×", title, count, errors, self.load.first_failures[0])
            raise Failed(f"{title}: {errors} of {count + errors} requests failed; the first: {self.load.first_failures[0]}")
        self.screen.row("√", title, count, errors, seen)

    def run_for(self, title, since, requests, seconds=60):
        """Lets the load run until so many requests have been answered."""
        start = since()[0]

        def enough():
            count, errors, replicas = since()
            self.screen.running(title, count, errors, spread(replicas))
            return count - start >= requests or errors > 0

        wait_for(f"{title}: {requests} requests", enough, seconds)

    def identity(self, title, since):
        self.run_for(title, since, 50)
        expected = {"orders": TRUST + "web", "inventory": TRUST + "orders"}
        if self.load.callers != expected:
            raise Failed(f"{title}: expected {expected}, the services saw {self.load.callers}")
        return f"orders sees {expected['orders']}"

    def balance(self, title, since):
        self.run_for(title, since, 600)
        replicas = since()[2]
        if any(replicas[name] < 0.15 * sum(replicas.values()) for name in REPLICAS):
            raise Failed(f"{title}: the spread is {spread(replicas)}")
        return spread(replicas)

    def back_in_service(self, title, since, name):
        before = since()[2][name]
        wait_for(f"{title}: {name} gets requests again", lambda: since()[2][name] > before + 5 or since()[1] > 0)

    def kill_app(self, title, since):
        self.mesh.apps["inventory-2"].kill()
        self.run_for(title, since, 400)
        self.mesh.start_app("inventory-2")
        self.back_in_service(title, since, "inventory-2")
        return "inventory-2 killed by kill -9, started again: " + spread(since()[2])

    def kill_sidecar(self, title, since):
        self.mesh.sidecars["inventory-2"].kill()
        self.run_for(title, since, 400)
        self.mesh.start_sidecar("inventory-2")
        self.back_in_service(title, since, "inventory-2")
        return "its sidecar as well; back with the identity on its disk: " + spread(since()[2])

    def split(self, title, since):
        self.mesh.cli("apply", "-f", os.path.join(HERE, "split.yaml"), "--wait")
        before = since()[2]
        self.run_for(title, since, 1000)
        during = since()[2] - before
        share = during["inventory-3"] / sum(during.values())
        self.mesh.cli("delete", "httproute", "inventory-split", "--wait")
        if not 0.05 <= share <= 0.16:
            raise Failed(f"{title}: {share:.1%} went to the canary")
        return f"{share:.1%} of {sum(during.values())} went to the canary"

    def control_away(self, title, since):
        self.mesh.control.stop()
        self.run_for(title, since, 400)
        self.mesh.control.start()
        wait_for("the control plane is ready again", self.mesh.control_ready)
        wait_for("every proxy is connected again", lambda: self.mesh.connected_proxies() == len(self.mesh.names))
        return "stopped, requests went on, started again: every proxy is back"

    def tell(self):
        self.step("callers prove who they are (mutual TLS)", self.identity)
        self.step("requests spread over three replicas", self.balance)
        self.step("a replica's application is killed", self.kill_app)
        self.step("a replica's sidecar is killed", self.kill_sidecar)
        self.step("a 90/10 split is applied", self.split)
        self.step("the control plane goes away", self.control_away)


def spread(replicas):
    return ", ".join(f"{name.rsplit('-', 1)[1]}: {replicas[name]}" for name in REPLICAS)


def keep_running(mesh, load):
    web = mesh.ports["web-1"]
    print(f"""
The mesh keeps running until Ctrl-C. To look around, in another terminal:
  curl http://127.0.0.1:{web['app']}/                        web, which calls orders, which calls inventory
  http://127.0.0.1:{web['admin']}/                             admin of web's sidecar (also /clusters, /config_dump, /stats/prometheus)
  http://127.0.0.1:{mesh.control_admin}/status                       the control plane
  {os.path.relpath(BIN)}/outrigger --control 127.0.0.1:{mesh.control_admin} status
  logs: {mesh.logs}""")
    while True:
        time.sleep(2)
        good, failed, replicas = load.snapshot()
        if sys.stdout.isatty():
            print(f"\r\033[K{good} requests, {failed} failed; {spread(replicas)}", end="", flush=True)


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n  tools/demo           shows it all and keeps running until Ctrl-C\n"
                                            "  tools/demo --once    shows it all, ends with 0 when all went well")
    parser.add_argument("--once", action="store_true", help="end when everything was shown")
    parser.add_argument("--keep-logs", action="store_true", help="leave the folder with logs and data behind")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    folder = tempfile.mkdtemp(prefix="outrigger-demo-")
    mesh = Mesh(folder)
    load = None
    failed = None
    try:
        print("starting a control plane, five workloads (web, orders, inventory x 3) and a sidecar for each", flush=True)
        mesh.start()
        load = Load(mesh.ports["web-1"]["app"])
        load.start()
        Story(mesh, load, Screen()).tell()
        good, errors, _ = load.snapshot()
        memory = max(mesh.resident_mib(name) for name in mesh.names)
        print(f"\n  {good} requests, {errors} failed. The largest sidecar holds {memory:.1f} MiB.", flush=True)
        if not arguments.once:
            keep_running(mesh, load)
    except Failed as error:
        failed = str(error)
    except KeyboardInterrupt:
        print()
    finally:
        if load is not None:
            load.stop()
        mesh.stop()
        if failed or arguments.keep_logs:
            print(f"\nlogs: {mesh.logs}")
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        print(f"demo: {failed}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
