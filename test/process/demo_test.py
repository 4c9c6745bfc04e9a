"""The demo as a user runs it: it ends well by itself, shows every step, and leaves nothing behind, interrupted or not."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest

import mesh  # finds local_mesh
import local_mesh

DEMO = os.path.join(mesh.ROOT, "tools", "mesh_demo", "demo.py")


class DemoTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="demo-")
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        # A script finds its modules by its real path, which is not where bazel puts the programs.
        self.programs = tempfile.mkdtemp(prefix="programs-")
        self.addCleanup(shutil.rmtree, self.programs, ignore_errors=True)
        for name, path in local_mesh.binaries().items():
            os.symlink(os.path.realpath(path), os.path.join(self.programs, name))

    def start(self, *arguments):
        demo = subprocess.Popen([sys.executable, DEMO, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={**os.environ, "TMPDIR": self.folder, "OUTRIGGER_BIN": self.programs,
                                     "PYTHONUNBUFFERED": "1"})
        self.addCleanup(demo.stdout.close)
        self.addCleanup(demo.stderr.close)
        self.addCleanup(demo.kill)
        return demo

    def assert_nothing_left(self):
        self.assertEqual(os.listdir(self.folder), [])
        left = []
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline") as file:
                    command = file.read().replace("\0", " ")
            except OSError:
                continue  # it ended meanwhile
            if self.folder in command:
                left.append(command)
        self.assertEqual(left, [])

    def test_it_shows_every_step_without_a_failed_request_and_ends_by_itself(self):
        demo = self.start("--once")
        out, problems = demo.communicate(timeout=200)
        self.assertEqual((demo.returncode, problems), (0, ""), out)
        steps = re.findall(r"^√ (.{40}) +(\d+) +(\d+) ", out, re.M)
        self.assertEqual(len(steps), 6, out)
        for step, requests, failed in steps:
            self.assertGreater(int(requests), 0, step)
            self.assertEqual(int(failed), 0, step)
        self.assertRegex(out, r"\d+ requests, 0 failed")
        self.assert_nothing_left()

    def test_interrupted_it_stops_what_it_started(self):
        demo = self.start()
        for line in demo.stdout:
            if line.startswith("√"):  # the mesh runs, under load
                break
        demo.send_signal(signal.SIGINT)
        demo.send_signal(signal.SIGINT)  # an impatient user
        demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 130)
        self.assert_nothing_left()


if __name__ == "__main__":
    unittest.main()
