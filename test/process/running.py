"""A control plane and its proxies as real processes, for tests of what users run. Ports are the kernel's choice, folders temporary;
everything that was started is stopped at the end, whatever happens.

    with Mesh(Programs.from_arguments(), objects={"mesh.yaml": text}) as mesh:
        mesh.cli("status")
"""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import time

DEADLINE_S = 20  # for anything that should take milliseconds: only a broken program reaches it


def wait_for(what, condition, deadline_s=DEADLINE_S):
    """The first true value of condition(); an AssertionError that names `what` when there is none."""
    end = time.monotonic() + deadline_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end, f"not in {deadline_s} s: {what}"
        time.sleep(0.01)


def free_ports(count):
    """Ports that are free now. Somebody else may take one before it is used; then the program says so and the test fails."""
    held = [socket.socket() for _ in range(count)]
    for one in held:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in held]
    for one in held:
        one.close()
    return ports


class Process:
    """A program with its log in a file; its log lines are JSON because that is no terminal."""

    def __init__(self, command, log):
        self.log = log
        with open(log, "ab") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=out, stdin=subprocess.DEVNULL)

    def lines(self):
        with open(self.log, encoding="utf-8") as text:
            return [json.loads(line) for line in text if line.startswith("{") and line.endswith("\n")]

    def logged(self, message):
        """The first line with this message, waited for."""
        def look():
            for line in self.lines():
                if line["message"] == message:
                    return line
            assert self.process.poll() is None, open(self.log, encoding="utf-8").read()
            return None
        return wait_for(f"log line {message!r} in {self.log}", look)

    def stop(self):
        """SIGTERM, then the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        return self.process.returncode


class Mesh:
    """`programs` maps "control", "proxy" and "cli" to paths; `objects` are files of the watched folder by name."""

    def __init__(self, programs, objects):
        self.programs = {name: os.path.abspath(path) for name, path in programs.items()}
        self.folder = tempfile.mkdtemp(prefix="outrigger-")
        self.config, self.data = os.path.join(self.folder, "mesh"), os.path.join(self.folder, "control")
        self.proxies = {}
        os.mkdir(self.config)
        for name, text in objects.items():
            self.save(name, text)
        self.control = None
        self.start_control("127.0.0.1:0", "127.0.0.1:0")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in [*self.proxies.values(), self.control]:
            process.stop()
        shutil.rmtree(self.folder)

    def start_control(self, xds, admin):
        command = [self.programs["control"], "--config-dir", self.config, "--data-dir", self.data, "--xds", xds, "--admin", admin]
        self.control = Process(command, os.path.join(self.folder, "control.log"))
        started = self.control.logged("outrigger-control runs")
        self.xds, self.admin = started["xds"], started["admin"]

    def save(self, name, text):
        """As an editor does: written beside, renamed over."""
        path = os.path.join(self.config, name)
        with open(path + "~", "w", encoding="utf-8") as out:
            out.write(text)
        os.rename(path + "~", path)

    def cli(self, *arguments, stdin="", environment=None):
        """The command with --control and --data-dir of this mesh; a CompletedProcess with text."""
        command = [self.programs["cli"], "--control", self.admin, "--data-dir", self.data, *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=60, check=False,
                              env={"PATH": "/usr/bin:/bin", "HOME": self.folder, **(environment or {})})

    def start_proxy(self, workload, inbound, *arguments, token=None):
        """`workload` is NAMESPACE/NAME; its sidecar's inbound port must be the one that is declared."""
        folder = os.path.join(self.folder, workload.replace("/", "."))
        os.makedirs(folder, mode=0o700, exist_ok=True)
        if token is None:
            made = self.cli("token", "create", "--workload", workload)
            assert made.returncode == 0, made.stderr
            token = made.stdout
        with open(os.open(folder + "/token", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as out:
            out.write(token)
        outbound, telemetry = free_ports(2)
        command = [self.programs["proxy"], "--control", self.xds, "--workload", workload, "--token-file", folder + "/token", "--data-dir",
                   folder + "/data", "--outbound", f"127.0.0.1:{outbound}", "--inbound", f"127.0.0.1:{inbound}", "--telemetry",
                   f"127.0.0.1:{telemetry}", "--admin", f"unix:{folder}/admin", "--workers", "1", "--drain-grace-ms", "0", *arguments]
        process = Process(command, folder + "/log")
        process.outbound, process.telemetry, process.admin, process.folder = outbound, telemetry, folder + "/admin", folder
        self.proxies[workload] = process
        return process
