"""The demo: a control plane, three services (web -> orders -> inventory x 3) with a sidecar each, and load through all of it
while things are killed, changed and brought back. Every claim on the screen is measured, and one that fails fails the demo.

Run it by tools/demo, which builds first.
"""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time

from load import Load
from local_mesh import Failed, LocalMesh, Process, answers, binaries, service_yaml, wait_for, workload_yaml
from screen import Screen

HERE = os.path.dirname(os.path.abspath(__file__))
CLIENTS = 6
REPLICAS = ("inventory-1", "inventory-2", "inventory-3")
CALLS = {"web-1": "orders", "orders-1": "inventory"}
TRUST = "spiffe://cluster.local/ns/default/sa/"


class DemoMesh(LocalMesh):
    """The demo's five workloads, each an application and a sidecar."""

    names = ("web-1", "orders-1", *REPLICAS)

    def __init__(self, folder):
        super().__init__(folder, binaries())
        self.ports_of(*self.names)

    def write_objects(self):
        objects = [service_yaml("orders", "app: orders"), service_yaml("inventory", "app: inventory"),
                   service_yaml("inventory-stable", "app: inventory, version: stable"),
                   service_yaml("inventory-canary", "app: inventory, version: canary")]
        for name in self.names:
            app = name.rsplit("-", 1)[0]
            version = ", version: " + ("canary" if name == "inventory-3" else "stable") if app == "inventory" else ""
            objects.append(workload_yaml(name, f"app: {app}{version}", self.ports[name], app, CALLS.get(name)))
        self.write("mesh.yaml", *objects)

    def start(self):
        self.write_objects()
        self.start_control()
        for name in self.names:
            self.start_app(name)
            self.start_sidecar(name, ["--workers", "1"])
        self.wait_ready()
        wait_for("the services answer", lambda: answers(self.ports["web-1"]["app"]))

    def start_app(self, name):
        if name not in self.apps:
            ports = self.ports[name]
            following = [f"http://127.0.0.1:{ports['listen']}/"] if name in CALLS else []
            command = [sys.executable, os.path.join(HERE, "service.py"), name, str(ports["app"]), *following]
            self.apps[name] = Process(name + ".app", command, self.logs)
        self.apps[name].start()


class Story:
    """The steps, each measured on its own under the running load. A step says what was seen, or raises Failed."""

    def __init__(self, mesh, load, screen):
        self.mesh, self.load, self.screen = mesh, load, screen

    def tell(self):
        self.screen.head()
        self.step("callers prove who they are (mutual TLS)", self.identity)
        self.step("requests spread over three replicas", self.balance)
        self.step("a replica's application is killed", self.kill_app)
        self.step("a replica's sidecar is killed", self.kill_sidecar)
        self.step("a 90/10 split is applied", self.split)
        self.step("the control plane goes away", self.control_away)

    def step(self, title, action):
        good, failed, replicas = self.load.snapshot()

        def since():
            now_good, now_failed, now_replicas = self.load.snapshot()
            return now_good - good, now_failed - failed, now_replicas - replicas

        problem = None
        try:
            seen = action(title, since)
        except Failed as error:
            problem = str(error)
        count, errors, spread = since()
        if errors:
            problem = f"{errors} of {count + errors} requests failed; the first: {self.load.first_failures[0]}"
        self.screen.done(problem is None, title, count, errors, spread, problem or seen)
        if problem:
            raise Failed(f"{title}: {problem}")

    def wait(self, title, since, what, condition, seconds=60):
        """Lets the load run until the condition holds or a request fails."""

        def met():
            count, errors, replicas = since()
            self.screen.running(title, count, errors, replicas)
            return errors > 0 or condition(count, replicas)

        wait_for(what, met, seconds)

    def run_for(self, title, since, requests):
        start = since()[0]
        self.wait(title, since, f"{requests} requests answered", lambda count, _: count - start >= requests)

    def back_in_service(self, title, since, name):
        before = since()[2][name]
        self.wait(title, since, f"{name} gets requests again", lambda _, replicas: replicas[name] > before + 5)

    def identity(self, title, since):
        self.run_for(title, since, 50)
        expected = {"orders": TRUST + "web", "inventory": TRUST + "orders"}
        if self.load.callers != expected:
            raise Failed(f"expected {expected}, the services saw {self.load.callers}")
        return f"orders' caller is {expected['orders']}\ninventory's is {expected['inventory']}"

    def balance(self, title, since):
        self.run_for(title, since, 600)
        replicas = since()[2]
        least = min(replicas[name] for name in REPLICAS) / sum(replicas.values())
        if least < 0.15:
            raise Failed(f"one replica got {least:.0%} of the requests only")
        return f"each got {least:.0%} or more (least requests of two random choices)"

    def kill_app(self, title, since):
        self.mesh.apps["inventory-2"].kill()
        self.run_for(title, since, 400)
        self.mesh.start_app("inventory-2")
        self.back_in_service(title, since, "inventory-2")
        return "inventory-2 killed with kill -9, started again"

    def kill_sidecar(self, title, since):
        self.mesh.sidecars["inventory-2"].kill()
        self.run_for(title, since, 400)
        self.mesh.start_sidecar("inventory-2")
        self.back_in_service(title, since, "inventory-2")
        return "and its sidecar, back with the identity it keeps on disk"

    def split(self, title, since):
        self.mesh.cli("apply", "-f", os.path.join(HERE, "split.yaml"), "--wait")
        before = since()[2]
        self.run_for(title, since, 1000)
        during = since()[2] - before
        share = during["inventory-3"] / sum(during.values())
        self.mesh.cli("delete", "httproute", "inventory-split", "--wait")
        if not 0.05 <= share <= 0.16:
            raise Failed(f"{share:.1%} went to the canary")
        return f"{share:.1%} of {sum(during.values())} went to the canary, inventory-3"

    def control_away(self, title, since):
        self.mesh.control.stop()
        self.run_for(title, since, 400)
        self.mesh.control.start()
        wait_for("the control plane is ready again", self.mesh.control_ready)
        self.wait(title, since, "every proxy is connected again",
                  lambda *_: self.mesh.connected_proxies() == len(self.mesh.names))
        return "stopped, then started again: every proxy is back"


def keep_running(mesh, load, screen):
    web = mesh.ports["web-1"]
    print(f"""
The mesh keeps running until Ctrl-C. To look around, in another terminal:
  curl http://127.0.0.1:{web['app']}/                        web, which calls orders, which calls inventory
  http://127.0.0.1:{web['admin']}/                             admin of web's sidecar (also /clusters, /config_dump, /stats/prometheus)
  http://127.0.0.1:{mesh.control_admin}/status                       the control plane
  {os.path.relpath(mesh.program("outrigger"))} --control 127.0.0.1:{mesh.control_admin} --data-dir {mesh.data} status
  logs: {mesh.logs}""", flush=True)
    while True:
        good, failed, replicas = load.snapshot()
        screen.status(f"{good} requests, {failed} failed; " + ", ".join(f"{name}: {replicas[name]}" for name in REPLICAS))
        time.sleep(1)


def run(arguments, folder, mesh):
    """The whole demo; 0 when all went well."""
    load, failed, told = None, None, False
    try:
        print("starting a control plane, five workloads (web, orders, inventory x 3) and a sidecar for each", flush=True)
        mesh.start()
        load = Load(mesh.ports["web-1"]["app"], CLIENTS)
        load.start()
        screen = Screen(REPLICAS)
        Story(mesh, load, screen).tell()
        good, errors, _ = load.snapshot()
        memory = max(mesh.sidecars[name].memory_mib() for name in mesh.names)
        print(f"\n  {good} requests, {errors} failed. The largest sidecar holds {memory:.1f} MiB.", flush=True)
        told = True
        if not arguments.once:
            keep_running(mesh, load, screen)
    except Failed as error:
        failed = str(error)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)  # whoever presses Ctrl-C twice wants it stopped, not half stopped
        if load is not None:
            load.stop()
        mesh.stop()
        if failed or arguments.keep_logs:
            print(f"\nlogs: {mesh.logs}", flush=True)
        else:
            shutil.rmtree(folder, ignore_errors=True)
    if failed:
        print(f"demo: {failed}", file=sys.stderr)
        return 1
    return 0 if told else 130


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
                                     epilog="examples:\n  tools/demo           shows it all and keeps running until Ctrl-C\n"
                                            "  tools/demo --once    shows it all, ends with 0 when all went well")
    parser.add_argument("--once", action="store_true", help="end when everything was shown")
    parser.add_argument("--keep-logs", action="store_true", help="leave the folder with logs and data behind")
    arguments = parser.parse_args()
    missing = [os.path.relpath(path) for path in binaries().values() if not os.access(path, os.X_OK)]
    if missing:
        print(f"demo: no {', '.join(missing)}: run tools/build, or start the demo by tools/demo", file=sys.stderr)
        return 2
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    folder = tempfile.mkdtemp(prefix="outrigger-demo-")
    try:
        return run(arguments, folder, DemoMesh(folder))
    except Failed as error:  # no free ports
        shutil.rmtree(folder, ignore_errors=True)
        print(f"demo: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
