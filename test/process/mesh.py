"""MeshTest: a test case with a mesh of its own, made of the real programs, stopped and looked at afterwards.

    class OrdersTest(mesh.MeshTest):
        @classmethod
        def arrange(cls):
            cls.start_pair()                      # client-1 calls orders-1 through both sidecars

        def test_something(self):
            with self.call() as wire: ...

Everything waits by looking, up to a deadline; nothing sleeps for a guessed time. At the end every program must stop with
exit code 0 on SIGTERM, and no log may tell of a sanitizer.
"""

import os
import re
import shutil
import sys
import tempfile
import time
import unittest

ROOT = os.path.abspath(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
sys.path.insert(1, os.path.join(ROOT, "tools", "mesh_demo"))

from local_mesh import Failed, LocalMesh, Process, answers, binaries, free_ports  # noqa: E402,F401
from local_mesh import get, service_yaml, wait_for, workload_yaml  # noqa: E402,F401
from wire import Closed, Wire  # noqa: E402,F401

# A sanitized program keeps what it freed for a while; not so much of it that the memory it holds says nothing.
os.environ["ASAN_OPTIONS"] = ":".join(filter(None, [os.environ.get("ASAN_OPTIONS"), "quarantine_size_mb=4"]))


class MeshTest(unittest.TestCase):
    control_flags = ()
    well = (0,)  # exit codes of programs asked to end

    @classmethod
    def arrange(cls):
        """Declares and starts what the tests of the class share."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="mesh-")
        cls.mesh = LocalMesh(os.path.join(cls.folder, "m"), binaries(), cls.control_flags)
        cls.raw_apps = []
        cls.mesh_failed = False
        try:
            cls.arrange()
        except BaseException:
            cls.mesh_failed = True
            cls.clear_away()
            raise

    @classmethod
    def tearDownClass(cls):
        cls.clear_away()

    @classmethod
    def clear_away(cls):
        codes = cls.mesh.stop()
        for app in cls.raw_apps:
            app.close()
        logs = {process.name: process.log_text() for process in cls.mesh.processes()}
        bad = {name: code for name, code in codes.items() if code not in cls.well}
        bad.update({name: "sanitizer" for name, text in logs.items() if re.search(r"ERROR: \w+Sanitizer|runtime error:", text)})
        if bad or cls.mesh_failed:
            for name, text in logs.items():
                print(f"---- {name}\n" + "\n".join(text.splitlines()[-40:]))
        shutil.rmtree(cls.folder, ignore_errors=True)
        if bad and not cls.mesh_failed:
            raise AssertionError(f"not a clean end: {bad}")

    def run(self, result=None):
        before = len(result.failures) + len(result.errors)
        super().run(result)
        if len(result.failures) + len(result.errors) > before:
            type(self).mesh_failed = True

    # ---- a pair: client-1 -> orders-1

    @classmethod
    def start_pair(cls, client_flags=(), callee_flags=(), objects=(), workers=1):
        """client-1's sidecar opens a port for service orders, which orders-1 answers. The application is not started."""
        cls.mesh.ports_of("client-1", "orders-1")
        ports = cls.mesh.ports
        cls.mesh.write("mesh.yaml", service_yaml("orders", "app: orders"),
                       workload_yaml("client-1", "app: client", ports["client-1"], "client", calls="orders"),
                       workload_yaml("orders-1", "app: orders", ports["orders-1"], "orders"), *objects)
        cls.mesh.start_control()
        cls.mesh.start_sidecar("client-1", ["--workers", str(workers), *client_flags])
        cls.mesh.start_sidecar("orders-1", ["--workers", str(workers), *callee_flags])
        cls.mesh.wait_ready()
        wait_for("client-1 listens for orders", lambda: cls.listens(ports["client-1"]["listen"]))

    @classmethod
    def add_app(cls, app):
        cls.raw_apps.append(app)
        return app

    @staticmethod
    def listens(port):
        try:
            Wire(port).socket.close()
            return True
        except OSError:
            return False

    def call(self, **options):
        """A connection to orders through both sidecars."""
        return Wire(self.mesh.ports["client-1"]["listen"], **options)

    def admin(self, name, path):
        """What the sidecar's admin says."""
        status, body = get(self.mesh.ports[name]["admin"], path)
        self.assertEqual(status, 200, body)
        return body.decode()

    def eventually(self, what, condition, seconds=20):
        """Looks until the condition holds; fails by its name when it never does."""
        until = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > until:
                self.fail(f"never within {seconds} s: {what}")
            time.sleep(0.02)
