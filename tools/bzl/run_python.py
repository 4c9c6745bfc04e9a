#!/usr/bin/env python3
"""Runs one unittest file as a bazel test: run_python.py FILE [NAME...], each case counted in bazel's test.xml.

The file's folder is on the import path, so it may import what lies beside it. NAME picks cases, as unittest does.
"""

import importlib.util
import os
import sys
import time
import unittest
import xml.etree.ElementTree as xml


class Result(unittest.TextTestResult):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.suite = xml.Element("testsuite", name="python")

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def note(self, test, kind=None, text=""):
        name = test.id().split(".")
        case = xml.SubElement(self.suite, "testcase", name=name[-1], classname=".".join(name[-2:-1]),
                              time=f"{time.monotonic() - getattr(self, 'began', time.monotonic()):.3f}")
        if kind == "skipped":
            case.set("status", "notrun")
        if kind is not None:
            xml.SubElement(case, kind).text = "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failure", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "error", self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped", reason)


def main(path, *names):
    sys.dont_write_bytecode = True
    path = os.path.abspath(path)  # not its real path: what belongs to the test lies beside it in bazel's folder
    sys.path.insert(0, os.path.dirname(path))
    name = os.path.basename(path)[:-len(".py")]
    spec = importlib.util.spec_from_file_location(name, path)
    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    loader = unittest.defaultTestLoader
    cases = loader.loadTestsFromNames(names, module) if names else loader.loadTestsFromModule(module)
    result = unittest.TextTestRunner(sys.stdout, verbosity=2, resultclass=Result).run(cases)
    if "XML_OUTPUT_FILE" in os.environ:
        xml.ElementTree(result.suite).write(os.environ["XML_OUTPUT_FILE"], encoding="utf-8", xml_declaration=True)
    if result.testsRun == 0 and not result.skipped:
        print("no test was run", file=sys.stderr)
        return 1
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
