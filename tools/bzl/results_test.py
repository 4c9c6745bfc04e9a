#!/usr/bin/env python3
"""Tests of results.py: a run that failed never counts as passed, however it failed."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import results  # noqa: E402


class Count(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)

    def run_of(self, label, status, document=None, attempt=1):
        outputs = []
        if document is not None:
            path = os.path.join(self.folder.name, "test %d.xml" % len(os.listdir(self.folder.name)))
            with open(path, "w") as file:
                file.write(document)
            outputs = [{"name": "test.xml", "uri": "file://" + path.replace(" ", "%20")}]
        return {"id": {"testResult": {"label": label, "run": 1, "shard": 1, "attempt": attempt}},
                "testResult": {"status": status, "testActionOutput": outputs}}

    def test_cases_count_one_by_one(self):
        document = ('<testsuites><testsuite><testcase name="a" status="run" result="completed"/>'
                    '<testcase name="b" status="run" result="completed" classname="S"><failure/></testcase>'
                    '<testcase name="c" status="notrun" result="suppressed"/>'
                    '<testcase name="d" status="run" result="skipped"/></testsuite></testsuites>')
        self.assertEqual(results.count([self.run_of("//a:t", "FAILED", document)]), (1, ["//a:t S.b"]))

    def test_a_leak_at_the_end_fails_though_every_case_passed(self):
        document = '<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>'
        self.assertEqual(results.count([self.run_of("//a:t", "FAILED", document)]), (1, ["//a:t (failed)"]))

    def test_a_crash_without_a_report_fails(self):
        for document in (None, "", "<testsuites><broken"):
            self.assertEqual(results.count([self.run_of("//a:t", "TIMEOUT", document)]), (0, ["//a:t (timeout)"]))

    def test_the_last_attempt_counts(self):
        document = '<testsuites><testsuite><testcase name="a"/></testsuite></testsuites>'
        events = [self.run_of("//a:t", "FAILED", attempt=1), self.run_of("//a:t", "PASSED", document, attempt=2)]
        self.assertEqual(results.count(events), (1, []))

    def test_a_target_that_does_not_build_fails(self):
        events = [{"id": {"targetCompleted": {"label": "//a:t"}}, "completed": {}},
                  {"id": {"targetCompleted": {"label": "//a:u"}}, "aborted": {"reason": "INCOMPLETE"}},
                  {"id": {"targetCompleted": {"label": "//a:v"}}, "completed": {"success": True}}]
        self.assertEqual(results.count(events), (0, ["//a:t does not build", "//a:u does not build"]))


if __name__ == "__main__":
    unittest.main()
