#!/usr/bin/env python3
"""Counts test cases of one bazel run: results.py EVENTS LIST prints "PASSED FAILED", and names the failed in LIST.

EVENTS is bazel's --build_event_json_file. A test program counts case by case, by the test.xml it wrote. A program that
fails as a whole (a crash, a time-out, a leak found at its end) and a target that does not build count as one failure.
"""

import json
import sys
import urllib.parse
import xml.etree.ElementTree as xml


def cases_of(path):
    """(passed, names of the failed) of one test.xml."""
    passed, failed = 0, []
    for case in xml.parse(path).getroot().iter("testcase"):
        if case.find("failure") is not None or case.find("error") is not None:
            failed.append("%s.%s" % (case.get("classname", ""), case.get("name", "")))
        elif case.get("status", "run") == "run" and case.get("result", "completed") == "completed":
            passed += 1  # the rest was skipped or disabled
    return passed, failed


def count(events):
    runs, broken = {}, set()
    for event in events:
        name = event.get("id", {})
        if "testResult" in event:
            key = name["testResult"]
            # The last attempt counts.
            runs[key["label"], key.get("run", 1), key.get("shard", 1)] = event["testResult"]
        elif "targetCompleted" in name and not event.get("completed", {}).get("success"):
            broken.add(name["targetCompleted"]["label"])

    passed, failed = 0, ["%s does not build" % label for label in sorted(broken)]
    for (label, _, _), result in sorted(runs.items()):
        uris = [output["uri"] for output in result.get("testActionOutput", []) if output["name"] == "test.xml"]
        cases_passed, cases_failed = 0, []
        for uri in uris:
            try:
                cases_passed, cases_failed = cases_of(urllib.parse.unquote(urllib.parse.urlparse(uri).path))
            except (OSError, xml.ParseError):
                pass
        ok = result.get("status") == "PASSED"
        if ok and not uris:
            cases_passed = 1
        if not ok and not cases_failed:
            cases_failed = ["(%s)" % result.get("status", "FAILED").lower()]
        passed += cases_passed
        failed += ["%s %s" % (label, case) for case in cases_failed]
    return passed, failed


def main(events_path, list_path):
    with open(events_path) as file:
        passed, failed = count([json.loads(line) for line in file if line.strip()])
    with open(list_path, "w") as file:
        file.writelines(line + "\n" for line in failed)
    print(passed, len(failed))


if __name__ == "__main__":
    main(*sys.argv[1:3])
