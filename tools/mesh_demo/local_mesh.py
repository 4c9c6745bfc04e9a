"""A mesh on this machine: the programs as child processes in one folder, on ports of 127.0.0.1 that nobody else has.

LocalMesh starts and stops the control plane and sidecars and knows their addresses; what the mesh declares, and who the
applications are, is its user's. The demo and the tests of the programs (test/process) stand on it.
"""

import http.client
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import textwrap
import time

SIDECAR_PORTS = ("outbound", "inbound", "admin", "telemetry")


ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
BIN = os.environ.get("OUTRIGGER_BIN") or os.path.join(ROOT, "bin")
PROGRAMS = {
    "outrigger-proxy": "proxy/main/outrigger-proxy",
    "outrigger-control": "control/main/outrigger-control",
    "outrigger": "tools/cli/outrigger",
}


class Failed(Exception):
    """One sentence: what was expected and what happened."""


def binaries():
    """Path of each program: where bazel put it beside a test, else in the folder OUTRIGGER_BIN, else as tools/build made it."""
    beside = {name: os.path.join(ROOT, path) for name, path in PROGRAMS.items()}
    return {name: path if os.access(path, os.X_OK) else os.path.join(BIN, name) for name, path in beside.items()}


def free_ports(count):
    """Different ports that nobody listens on now, below those that the kernel gives to outgoing connections: between
    this look and the use of a port only another server could take it."""
    try:
        with open("/proc/sys/net/ipv4/ip_local_port_range") as file:
            below = int(file.read().split()[0])
    except (OSError, ValueError):
        below = 32768
    candidates = list(range(10240, below)) if below > 12288 else list(range(20000, 60000))
    random.SystemRandom().shuffle(candidates)
    found, kept = [], []
    try:
        for port in candidates:
            if len(found) == count:
                return found
            trial = socket.socket()
            kept.append(trial)  # held to the end, so that the answers differ
            try:
                trial.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                continue
    finally:
        for trial in kept:
            trial.close()
    raise Failed(f"this machine has no {count} free ports")


def wait_for(what, condition, seconds=30):
    """Looks until `condition` gives something true, and returns it."""
    until = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > until:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def get(port, path="/", timeout=30, headers=None):
    """(status, body) of one GET on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def answers(port, path="/", timeout=5):
    """Whether a GET is answered with 200."""
    try:
        return get(port, path, timeout)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


class Process:
    """A child process that can be started again with the same command. It ends with us, however we end."""

    def __init__(self, name, command, log_dir, env=None):
        self.name, self.command, self.env = name, command, env
        self.log = os.path.join(log_dir, name + ".log")
        self.child = None
        self.asked = False

    def start(self):
        self.asked = False
        # The kernel ends the child when the thread that started it is gone: only the main thread starts processes.
        keeper = shutil.which("setpriv")
        command = [keeper, "--pdeathsig", "KILL", "--", *self.command] if keeper else self.command
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                          env={**os.environ, **(self.env or {})}, start_new_session=True)

    @property
    def pid(self):
        return self.child.pid

    def running(self):
        return self.child is not None and self.child.poll() is None

    def kill(self):
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def ask_to_end(self):
        """SIGTERM, once: a second one would mean at once."""
        if self.running() and not self.asked:
            self.asked = True
            self.child.send_signal(signal.SIGTERM)

    def stop(self, seconds=15):
        """SIGTERM, and SIGKILL to one that does not listen; the exit code."""
        if self.child is None:
            return 0
        self.ask_to_end()
        try:
            self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
        return self.child.returncode

    def log_text(self):
        try:
            with open(self.log, errors="replace") as log:
                return log.read()
        except OSError:
            return ""

    def check_alive(self):
        if self.child.poll() is not None:
            last = self.log_text().strip().splitlines()[-1:]
            raise Failed(f"{self.name} ended with code {self.child.returncode}: {' '.join(last)}")

    def memory_mib(self, field="VmRSS"):
        """VmRSS: resident now; VmHWM: the most there was."""
        with open(f"/proc/{self.pid}/status") as status:
            return int(re.search(rf"^{field}:\s+(\d+)", status.read(), re.M).group(1)) / 1024


def service_yaml(name, labels, port=80):
    return textwrap.dedent(f"""\
        apiVersion: v1
        kind: Service
        metadata: {{name: {name}, namespace: default}}
        spec:
          selector: {{{labels}}}
          ports: [{{name: http, port: {port}, targetPort: http, appProtocol: http}}]
        """)


def workload_yaml(name, labels, ports, account, calls=None):
    """`ports` as LocalMesh.ports_of gives them; with `calls` the sidecar opens ports["listen"] for that service."""
    listen = f"\n          listen: [{{port: {ports['listen']}, service: {calls}, servicePort: 80}}]" if calls else ""
    return textwrap.dedent(f"""\
        apiVersion: outrigger.dev/v1
        kind: Workload
        metadata: {{name: {name}, namespace: default, labels: {{{labels}}}}}
        spec:
          address: 127.0.0.1
          inboundPort: {ports['inbound']}
          serviceAccount: {account}
          ports: {{http: {ports['app']}}}{listen}
        """)


class LocalMesh:
    """One control plane and any number of sidecars, all in `folder`."""

    def __init__(self, folder, binaries, control_flags=()):
        self.folder, self.binaries = folder, binaries
        self.config = os.path.join(folder, "mesh")
        self.data = os.path.join(folder, "control")
        self.logs = os.path.join(folder, "logs")
        for path in (self.config, self.logs):
            os.makedirs(path)
        self.xds, self.control_admin = free_ports(2)
        self.ports, self.sidecars, self.apps = {}, {}, {}
        self.control = Process("control", [self.program("outrigger-control"), "--config-dir", self.config, "--data-dir", self.data,
                                           "--xds", f"127.0.0.1:{self.xds}", "--admin", f"127.0.0.1:{self.control_admin}",
                                           *control_flags], self.logs)

    def program(self, name):
        return self.binaries[name]

    def ports_of(self, *names):
        """Gives each workload its ports: the sidecar's, "app" for the application, "listen" for its way out."""
        kinds = (*SIDECAR_PORTS, "app", "listen")
        found = iter(free_ports(len(kinds) * len(names)))
        for name in names:
            self.ports[name] = {kind: next(found) for kind in kinds}

    def write(self, file, *documents):
        """Declares objects: a file of the watched folder, replaced as a whole."""
        path = os.path.join(self.config, file)
        with open(os.path.join(self.folder, file + ".new"), "w") as out:
            out.write("---\n".join(textwrap.dedent(document) for document in documents))
        os.replace(out.name, path)

    def cli(self, *arguments):
        """What the command printed; one that fails raises what it said."""
        command = [self.program("outrigger"), "--control", f"127.0.0.1:{self.control_admin}", "--data-dir", self.data, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        if done.returncode != 0:
            raise Failed(f"outrigger {' '.join(arguments)}: {(done.stderr or done.stdout).strip()}")
        return done.stdout

    def status(self):
        return json.loads(self.cli("status", "-o", "json"))

    def connected_proxies(self):
        return sum(1 for proxy in self.status()["proxies"] if proxy.get("connected"))

    def start_control(self):
        self.control.start()
        wait_for("the control plane is ready", self.control_ready)

    def control_ready(self):
        self.control.check_alive()
        return answers(self.control_admin, "/ready", 2)

    def start_sidecar(self, name, flags=(), env=None):
        """The first start joins with a token, later ones with what the sidecar keeps in its folder."""
        if name not in self.sidecars:
            token = os.path.join(self.folder, name + ".token")
            with open(os.open(token, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                out.write(self.cli("token", "create", "--workload", "default/" + name))
            command = [self.program("outrigger-proxy"), "--control", f"127.0.0.1:{self.xds}", "--workload", "default/" + name,
                       "--token-file", token, "--data-dir", os.path.join(self.folder, name), *flags]
            for kind in SIDECAR_PORTS:
                command += ["--" + kind, f"127.0.0.1:{self.ports[name][kind]}"]
            self.sidecars[name] = Process(name + ".sidecar", command, self.logs, env)
        self.sidecars[name].start()

    def sidecar_ready(self, name):
        self.sidecars[name].check_alive()
        return answers(self.ports[name]["admin"], "/ready", 2)

    def wait_ready(self, *names):
        wait_for("every sidecar is ready", lambda: all(self.sidecar_ready(name) for name in names or self.sidecars))

    def processes(self):
        return [*self.sidecars.values(), *self.apps.values(), self.control]

    def stop(self):
        """Ends everything, all at the same time; the exit codes by name."""
        for process in self.processes():
            process.ask_to_end()
        return {process.name: process.stop() for process in self.processes()}
