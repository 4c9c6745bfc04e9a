#!/usr/bin/env python3
"""Tests of tools/tidy: each ban catches its example, and leaves what is allowed alone."""

import importlib.machinery
import importlib.util
import os
import sys
import unittest

sys.dont_write_bytecode = True

_PATH = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tidy")
_LOADER = importlib.machinery.SourceFileLoader("tidy", _PATH)
tidy = importlib.util.module_from_spec(importlib.util.spec_from_loader("tidy", _LOADER))
_LOADER.exec_module(tidy)


def errors(path, text):
    return [message for _, is_error, message in tidy.check(path, text + "\n") if is_error]


class Bans(unittest.TestCase):
    def caught(self, path, text, word):
        found = errors(path, text)
        self.assertEqual(len(found), 1, "%s: %s -> %s" % (path, text, found))
        self.assertIn(word, found[0])

    def test_clocks(self):
        for text in ("auto t = std::chrono::steady_clock::now();", "x = time(nullptr);", "clock_gettime(0, &t);"):
            self.caught("proxy/guard/a.cc", text, "Clock of proxy/base/time.h")
            self.assertEqual(errors("proxy/io/a.cc", text), [])
        self.assertEqual(errors("proxy/guard/a.cc", "Time time() const; x = clock.time(0);"), [])

    def test_randomness(self):
        for text in ("std::mt19937 r;", "x = rand();", "absl::BitGen g;", "RAND_bytes(p, 3);"):
            self.caught("proxy/balance/a.cc", text, "Random&")
        self.assertEqual(errors("proxy/tls/a.cc", "RAND_bytes(p, 3);"), [])
        self.assertEqual(errors("proxy/balance/a.cc", "x = operand(); y = random.rand();"), [])

    def test_sockets_and_files(self):
        self.caught("proxy/net/a.cc", "#include <sys/socket.h>", "Listener")
        self.caught("control/serve/a.cc", "int fd = ::socket(1, 2, 3);", "Listener")
        self.caught("control/source/a.cc", "#include <sys/inotify.h>", "Files of proxy/net")
        self.assertEqual(errors("proxy/pool/a.cc", "pool.connect(x); net->connect(y);"), [])

    def test_threads_and_atomics(self):
        self.caught("proxy/shard/a.h", "std::mutex m;", "Mailbox")
        self.caught("proxy/observe/a.h", "std::atomic<int> n;", "SharedCount")
        self.assertEqual(errors("proxy/base/shared_count.h", "std::atomic<int> n;"), [])
        self.assertEqual(errors("proxy/base/shared_count_test.cc", "std::thread t; std::atomic<int> n;"), [])

    def test_libraries_behind_seams(self):
        self.caught("proxy/net/a.h", "#include <uv.h>", "proxy/net")
        self.caught("proxy/path/a.h", "#include <openssl/ssl.h>", "proxy/tls")
        self.caught("proxy/route/a.h", '#include "envoy/config/route/v3/route.pb.h"', "protobuf stops")
        self.caught("proxy/codec/a.cc", "llhttp_set_lenient_headers(&p, 1);", "strict")
        self.assertEqual(errors("proxy/discovery/a.h", '#include "envoy/config/route/v3/route.pb.h"'), [])

    def test_exceptions_stay_off_the_data_path(self):
        self.caught("proxy/codec/a.cc", "throw 1;", "Result<T>")
        self.assertEqual(errors("control/model/a.cc", "try { f(); } catch (const E&) {}"), [])

    def test_tests_that_do_not_run(self):
        self.caught("proxy/codec/a_test.cc", "TEST(Codec, DISABLED_Cut) {}", "mend")

    def test_comments_and_literals_are_not_code(self):
        for text in ("// std::mutex", "/* rand() */", 'f("std::mutex");', 'f(R"(time(0))");', "x = 1'000; // rand()"):
            self.assertEqual(errors("proxy/guard/a.cc", text), [], text)


class Arrows(unittest.TestCase):
    def message(self, path, header):
        found = errors(path, '#include "%s"' % header)
        return found[0] if found else ""

    def test_a_group_sees_itself_and_those_before_it(self):
        self.assertEqual(self.message("proxy/pool/a.h", "proxy/net/connection.h"), "")
        self.assertEqual(self.message("proxy/pool/a.h", "proxy/pool/b.h"), "")
        self.assertIn("other way", self.message("proxy/net/a.h", "proxy/pool/b.h"))
        self.assertEqual(self.message("proxy/config/a.h", "proxy/net/address.h"), "")

    def test_machines_never_include_one_another(self):
        self.assertIn("machines", self.message("proxy/route/a.h", "proxy/guard/b.h"))

    def test_control_sees_little_of_proxy(self):
        self.assertEqual(self.message("control/serve/a.h", "proxy/rpc/rpc.h"), "")
        self.assertIn("control sees", self.message("control/serve/a.h", "proxy/pool/pool.h"))
        self.assertIn("never", self.message("proxy/main/a.cc", "control/model/object.h"))

    def test_only_tests_include_test(self):
        self.assertEqual(self.message("proxy/pool/a_test.cc", "test/sim/world.h"), "")
        self.assertIn("only tests", self.message("proxy/pool/a.cc", "test/sim/world.h"))

    def test_a_new_folder_needs_a_place(self):
        self.assertIn("no place", errors("proxy/misc/a.h", "int x;")[0])


class Text(unittest.TestCase):
    def test_layout(self):
        self.assertIn("columns", errors("a.cc", "x" * 141)[0])
        self.assertIn("tab", errors("a.cc", "\tx")[0])
        self.assertIn("white space", errors("a.md", "x ")[0])
        self.assertEqual(errors("a.md", "x" * 200), [])

    def test_loose_ends_have_an_owner(self):
        self.assertIn("owner", errors("a.cc", "// TODO: later")[0])
        self.assertEqual(errors("a.cc", "// TODO(ann): later"), [])

    def test_machine_paths(self):
        self.assertIn("machine", errors("a.md", "see /home/ann/notes")[0])
        self.assertEqual(errors("a.md", "GET https://a.example/home/x and $HOME/bin"), [])

    def test_length(self):
        self.assertIn("split", errors("a.cc", "x\n" * 501)[0])
        self.assertEqual(errors("a.cc", "x\n" * 450), [])
        self.assertEqual(len(tidy.check("a.cc", "x\n" * 450)), 1)


if __name__ == "__main__":
    unittest.main()
