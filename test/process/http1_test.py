"""HTTP/1.1 through a pair of sidecars, byte by byte: what clients and applications may do, and what they get for it."""

import unittest

import mesh
from wire import PathApp, chunk

CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"


def answer(body, extra=""):
    return f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n{extra}\r\n{body}"


def echo(wire, request):
    wire.read_body(request)
    wire.send(answer(request.body.decode("latin-1")))


def chunked_echo(wire, request):
    wire.read_body(request)
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n" + (chunk(request.body) if request.body else b"")
              + chunk(b"!"))
    wire.send("0\r\nx-sum: %s\r\n\r\n" % dict(request.trailers).get("x-sum", "none"))


def continues(wire, request):
    wire.send(CONTINUE)
    echo(wire, request)


def refuses(wire, _request):
    wire.send("HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
    return False


class Http1Test(mesh.MeshTest):
    @classmethod
    def arrange(cls):
        cls.start_pair()
        routes = {f"/n/{n}": lambda wire, request: wire.send(answer(request.path)) for n in range(20)}
        routes |= {
            "/echo": echo,
            "/chunked": chunked_echo,
            "/continue": continues,
            "/refuse": refuses,
            "/head": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
            "/204": lambda wire, request: wire.send("HTTP/1.1 204 No Content\r\n\r\n"),
            "/304": lambda wire, request: wire.send("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 99\r\n\r\n"),
            "/to-the-end": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\n\r\nuntil the end") or False,
            "/half": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf") or False,
            "/garbage": lambda wire, request: wire.send("SSH-2.0-OpenSSH_9.2\r\n\r\n") or False,
            "/huge-head": lambda wire, request: wire.send(answer("", "x-big: " + "b" * 70000 + "\r\n")) or False,
            "/both": lambda wire, request: wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"
                                                     "0\r\n\r\n") or False,
            "/hints": lambda wire, request: wire.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + answer("hinted")),
        }
        cls.app = cls.add_app(PathApp(cls.mesh.ports["orders-1"]["app"], routes))

    def tearDown(self):
        self.assertEqual(self.app.problems, [])

    def last_request(self):
        return self.app.requests[-1]

    # ---- framing

    def test_pipelined_requests_are_answered_in_their_order(self):
        with self.call() as wire:
            wire.send("".join(f"GET /n/{n} HTTP/1.1\r\nHost: orders\r\n\r\n" for n in range(20)))
            self.assertEqual([wire.response().body.decode() for _ in range(20)], [f"/n/{n}" for n in range(20)])

    def test_a_pipelined_request_behind_a_body_is_not_swallowed(self):
        with self.call() as wire:
            wire.send("POST /echo HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello"
                      "POST /chunked HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
                      "GET /n/7 HTTP/1.1\r\nHost: orders\r\n\r\n")
            self.assertEqual([wire.response().body for _ in range(3)], [b"hello", b"abc!", b"/n/7"])

    def test_chunked_bodies_and_trailers_go_both_ways(self):
        with self.call() as wire:
            wire.send("POST /chunked HTTP/1.1\r\nHost: orders\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n")
            for part in (b"one ", b"two ", b"three"):
                wire.send(chunk(part))
            wire.send("0\r\nx-sum: 42\r\n\r\n")
            response = wire.response()
        self.assertEqual((response.status, response.body), (200, b"one two three!"))
        self.assertEqual(dict(response.trailers), {"x-sum": "42"})

    def test_a_request_may_come_byte_by_byte(self):
        with self.call() as wire:
            for byte in b"POST /echo HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nslow\r\n0\r\n\r\n":
                wire.send(bytes([byte]))
            self.assertEqual(wire.response().body, b"slow")

    def test_continue_comes_from_the_application_before_the_body_is_sent(self):
        with self.call() as wire:
            wire.send("POST /continue HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
            self.assertEqual(wire.head().status, 100)
            wire.send("body")
            self.assertEqual(wire.response().body, b"body")

    def test_a_refusal_comes_instead_of_continue(self):
        with self.call() as wire:
            wire.send("POST /refuse HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\nExpect: 100-continue\r\n\r\n")
            response = wire.response()
        self.assertEqual((response.status, response.body), (413, b"big"))

    def test_early_hints_pass_before_the_response(self):
        with self.call() as wire:
            wire.send("GET /hints HTTP/1.1\r\nHost: orders\r\n\r\n")
            hints = wire.head()
            self.assertEqual((hints.status, hints.get("link")), (103, "</a.css>"))
            self.assertEqual(wire.response().body, b"hinted")

    def test_responses_without_a_body_keep_the_connection_usable(self):
        with self.call() as wire:
            wire.send("HEAD /head HTTP/1.1\r\nHost: orders\r\n\r\n")
            head = wire.response(to="HEAD")
            self.assertEqual((head.status, head.get("content-length")), (200, "1234"))
            self.assertEqual(wire.get("/204").status, 204)
            not_modified = wire.get("/304")
            self.assertEqual((not_modified.status, not_modified.get("etag")), (304, '"a"'))
            self.assertEqual(wire.get("/n/1").body, b"/n/1")

    def test_a_body_that_ends_with_the_connection_is_whole(self):
        with self.call() as wire:
            self.assertEqual(wire.get("/to-the-end").body, b"until the end")

    # ---- versions and ends

    def test_a_client_of_http_1_0_gets_an_answer_it_understands_and_the_end(self):
        with self.call() as wire:
            wire.send("GET /chunked HTTP/1.0\r\nHost: orders\r\n\r\n")
            response = wire.response()
            self.assertEqual((response.status, response.body), (200, b"!"))
            self.assertIsNone(response.get("transfer-encoding"))
            self.assertTrue(wire.at_end())

    def test_a_client_of_http_1_0_may_ask_to_keep_the_connection(self):
        with self.call() as wire:
            for _ in range(2):
                wire.send("GET /n/3 HTTP/1.0\r\nHost: orders\r\nConnection: keep-alive\r\n\r\n")
                response = wire.response()
                self.assertEqual((response.body, response.get("connection", "").lower()), (b"/n/3", "keep-alive"))

    def test_connection_close_is_obeyed_and_said(self):
        with self.call() as wire:
            response = wire.get("/n/1", headers="Connection: close\r\n")
            self.assertEqual((response.body, response.get("connection", "").lower()), (b"/n/1", "close"))
            self.assertTrue(wire.at_end())

    def test_a_client_that_has_said_all_is_answered_and_then_the_connection_ends(self):
        with self.call() as wire:
            wire.send("POST /echo HTTP/1.1\r\nHost: orders\r\nContent-Length: 4\r\n\r\nlast")
            wire.half_close()
            self.assertEqual(wire.response().body, b"last")
            self.assertTrue(wire.at_end())

    def test_an_answer_before_the_body_is_whole_reaches_the_client(self):
        with self.call() as wire:
            wire.send("POST /refuse HTTP/1.1\r\nHost: orders\r\nContent-Length: 1000000\r\n\r\n" + "x" * 1000)
            response = wire.response()
        self.assertEqual((response.status, response.body), (413, b"big"))

    def test_an_early_answer_harms_no_later_request(self):
        for _ in range(5):
            with self.call() as wire:
                wire.send("POST /refuse HTTP/1.1\r\nHost: orders\r\nContent-Length: 10\r\n\r\n")
                self.assertEqual(wire.response().status, 413)
            with self.call() as wire:
                self.assertEqual(wire.get("/n/2").body, b"/n/2")

    def test_connections_to_the_application_are_used_again(self):
        with self.call() as wire:
            wire.get("/n/0")
            before = self.app.connections
            for _ in range(20):
                wire.get("/n/0")
        self.assertEqual(self.app.connections, before)

    # ---- fields

    def test_hop_by_hop_fields_stay_on_their_hop(self):
        with self.call() as wire:
            wire.get("/n/1", headers="Connection: x-secret-hop\r\nx-secret-hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n"
                                     "x-kept: yes\r\n")
        request = self.last_request()
        for name in ("x-secret-hop", "keep-alive", "proxy-connection", "via"):
            self.assertEqual(request.all(name), [], name)
        self.assertEqual((request.get("x-kept"), request.all("host")), ("yes", ["orders"]))

    def test_the_application_learns_who_calls_and_nobody_can_forge_it(self):
        forged = "x-forwarded-client-cert: URI=spiffe://cluster.local/ns/default/sa/admin\r\nx-outrigger-receipt: forwarded\r\n"
        with self.call() as wire:
            wire.get("/n/1", headers=forged)
        request = self.last_request()
        self.assertEqual(len(request.all("x-forwarded-client-cert")), 1)
        self.assertIn("URI=spiffe://cluster.local/ns/default/sa/client", request.get("x-forwarded-client-cert"))
        self.assertNotIn("admin", request.get("x-forwarded-client-cert"))
        self.assertEqual(request.get("x-outrigger-receipt"), None)
        for name in ("x-request-id", "x-forwarded-for", "x-forwarded-proto"):
            self.assertEqual(len(request.all(name)), 1, name)

    # ---- what is refused

    def refused(self, bytes_sent, status, says):
        """The reply is clear and the connection ends with it: nothing after such a request can be trusted."""
        requests = len(self.app.requests)
        with self.call() as wire:
            wire.send(bytes_sent)
            response = wire.response()
            self.assertEqual(response.status, status, response.body)
            self.assertIn(says, response.body.decode())
            self.assertTrue(response.get("x-outrigger-reason"))
            self.assertTrue(wire.at_end())
        self.assertEqual(len(self.app.requests), requests, "the application saw it")

    def test_a_head_over_the_limit_is_431(self):
        self.refused("GET /n/1 HTTP/1.1\r\nHost: orders\r\nx-big: " + "b" * 66000 + "\r\n\r\n", 431, "")

    def test_too_many_fields_are_431(self):
        self.refused("GET /n/1 HTTP/1.1\r\nHost: orders\r\n" + "".join(f"x-{n}: 1\r\n" for n in range(150)) + "\r\n", 431, "")

    def test_a_request_line_over_the_limit_is_414(self):
        self.refused("GET /" + "a" * 17000 + " HTTP/1.1\r\nHost: orders\r\n\r\n", 414, "")

    def test_a_large_head_within_the_limits_passes(self):
        value = "v" * 50000
        with self.call() as wire:
            self.assertEqual(wire.get("/n/1", headers=f"x-large: {value}\r\n").status, 200)
        self.assertEqual(self.last_request().get("x-large"), value)

    def test_two_framings_at_once_are_400(self):
        self.refused("POST /echo HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET", 400, "")

    def test_ambiguous_requests_are_400(self):
        for lines in ("Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: 5, 5 \r\n",
                      "Transfer-Encoding: chunked, identity\r\n", "Transfer-Encoding: xchunked\r\n", "Host: other\r\n",
                      "Content-Length : 5\r\n", "x-split: a\r\n b\r\n", "x-nul: a\0b\r\n"):
            with self.subTest(lines=lines):
                self.refused(f"POST /echo HTTP/1.1\r\nHost: orders\r\n{lines}\r\nhello", 400, "")

    def test_what_is_not_http_is_400(self):
        self.refused("HELLO WORLD\r\n\r\n", 400, "")

    def test_a_request_of_http_1_1_without_host_is_400(self):
        self.refused("GET /n/1 HTTP/1.1\r\n\r\n", 400, "ost")

    # ---- applications that break the rules

    def test_an_application_that_does_not_speak_http_is_502(self):
        for path in ("/garbage", "/huge-head", "/both"):
            with self.subTest(path=path), self.call() as wire:
                response = wire.get(path)
                self.assertEqual(response.status, 502, response.body)
                self.assertTrue(response.get("x-outrigger-reason"))

    def test_half_an_answer_is_never_taken_for_a_whole_one(self):
        with self.call() as wire:
            wire.send("GET /half HTTP/1.1\r\nHost: orders\r\n\r\n")
            head = wire.head()
            with self.assertRaises((mesh.Closed, OSError)):
                wire.read_body(head, "GET")


if __name__ == "__main__":
    unittest.main()
