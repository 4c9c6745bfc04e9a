#!/usr/bin/env python3
"""Our gRPC against Google's: grpcio as client of our server, and as server of our client, over plaintext loopback.

Usage: grpc_interop_test.py PATH-TO-GRPC_PEER

Needs grpcio (Debian: python3-grpcio). Without it this test fails and says so; it never skips.
"""

import concurrent.futures
import subprocess
import sys
import threading
import time

try:
    import grpc
except ImportError:
    sys.exit("grpc_interop_test: FAILED: grpcio is missing; install Debian's python3-grpcio")


def encode(data):  # google.protobuf.BytesValue by hand, so that no generated code is needed
    if not data:
        return b""
    size, out = len(data), b"\x0a"
    while size > 127:
        out += bytes([size & 127 | 128])
        size >>= 7
    return out + bytes([size]) + data


def decode(message):
    if not message:
        return b""
    assert message[0] == 0x0A, message[:20]
    at, shift, size = 1, 0, 0
    while True:
        byte = message[at]
        at += 1
        size |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            break
    assert at + size == len(message)
    return message[at:]


CODEC = {"request_serializer": encode, "response_deserializer": decode}
FAIL_MESSAGE = "it's 100 % “off”"


def expect_error(code, call):
    try:
        call()
    except grpc.RpcError as error:
        assert error.code() == code, "%s instead of %s: %s" % (error.code(), code, error.details())
        return error
    raise AssertionError("%s was expected" % code)


# ---------------------------------------------------------------------------------------------------------------------
# grpcio is the client


def python_client(port):
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 80 << 20)]
    with grpc.insecure_channel("127.0.0.1:%d" % port, options=options) as channel:
        unary = channel.unary_unary("/test.Echo/Unary", **CODEC)
        assert unary(b"hello", timeout=10) == b"hello"
        assert unary(b"") == b""
        large = bytes(range(256)) * 40000  # 10 MB
        assert unary(large, timeout=60) == large

        assert channel.stream_unary("/test.Echo/ClientStream", **CODEC)(iter([b"a", b"b", b"c"])) == b"abc"
        assert list(channel.unary_stream("/test.Echo/ServerStream", **CODEC)(b"abc")) == [b"a", b"b", b"c"]
        many = [b"%d" % i for i in range(2000)]
        assert list(channel.stream_stream("/test.Echo/Bidi", **CODEC)(iter(many))) == many

        error = expect_error(grpc.StatusCode.FAILED_PRECONDITION, lambda: channel.unary_unary("/test.Echo/Fail", **CODEC)(b"x"))
        assert error.details() == FAIL_MESSAGE, error.details()
        error = expect_error(grpc.StatusCode.UNAUTHENTICATED, lambda: channel.unary_unary("/test.Echo/Refuse", **CODEC)(b"x"))
        assert error.details() == "who are you?"
        expect_error(grpc.StatusCode.UNIMPLEMENTED, lambda: channel.unary_unary("/no.Such/Method", **CODEC)(b"x"))
        hang = channel.unary_unary("/test.Echo/Hang", **CODEC)
        expect_error(grpc.StatusCode.DEADLINE_EXCEEDED, lambda: hang(b"x", timeout=0.3))
        expect_error(grpc.StatusCode.UNIMPLEMENTED, lambda: unary(b"x", compression=grpc.Compression.Gzip))
        expect_error(grpc.StatusCode.RESOURCE_EXHAUSTED, lambda: unary(bytes(65 << 20), timeout=60))

        # Cancelled by the client in the middle, many times; the connection lives on.
        for _ in range(20):
            stream = channel.stream_stream("/test.Echo/Bidi", **CODEC)
            stop = threading.Event()

            def requests():
                yield b"x"
                stop.wait(10)

            call = stream(requests())
            assert next(call) == b"x"
            call.cancel()
            stop.set()
        assert unary(b"still here") == b"still here"

        # Many at once.
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            texts = [b"%d" % i for i in range(1000)]
            assert list(pool.map(lambda text: unary(text, timeout=30), texts)) == texts


# ---------------------------------------------------------------------------------------------------------------------
# grpcio is the server


class Service(grpc.GenericRpcHandler):
    def __init__(self):
        self.cancelled = threading.Event()
        self.shutdown = threading.Event()

    def service(self, details):
        name = details.method.rsplit("/", 1)[1]
        kinds = {
            "Unary": grpc.unary_unary_rpc_method_handler,
            "Fail": grpc.unary_unary_rpc_method_handler,
            "Hang": grpc.unary_unary_rpc_method_handler,
            "Metadata": grpc.unary_unary_rpc_method_handler,
            "WaitForCancel": grpc.unary_unary_rpc_method_handler,
            "Shutdown": grpc.unary_unary_rpc_method_handler,
            "ClientStream": grpc.stream_unary_rpc_method_handler,
            "ServerStream": grpc.unary_stream_rpc_method_handler,
            "Bidi": grpc.stream_stream_rpc_method_handler,
        }
        if name not in kinds:
            return None
        return kinds[name](getattr(self, name), request_deserializer=decode, response_serializer=encode)

    def Unary(self, request, context):
        return request

    def Fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, FAIL_MESSAGE)

    def Hang(self, request, context):
        time.sleep(1)
        return request

    def Metadata(self, request, context):
        metadata = dict(context.invocation_metadata())
        context.send_initial_metadata((("x-text", metadata["x-text"]),))
        context.set_trailing_metadata((("x-bytes-bin", metadata["x-bytes-bin"]),))
        assert 4 < context.time_remaining() <= 5, context.time_remaining()
        return request

    def WaitForCancel(self, request, context):
        if not self.cancelled.wait(10):
            context.abort(grpc.StatusCode.INTERNAL, "no cancellation was seen")
        return b""

    def Shutdown(self, request, context):
        self.shutdown.set()
        return b""

    def ClientStream(self, requests, context):
        return b"".join(requests)

    def ServerStream(self, request, context):
        for byte in request:
            yield bytes([byte])

    def Bidi(self, requests, context):
        context.add_callback(lambda: None if context.code() == grpc.StatusCode.OK else self.cancelled.set())
        try:
            for request in requests:
                yield request
        except grpc.RpcError:
            self.cancelled.set()
            raise


def python_server(peer):
    service = Service()
    options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.max_send_message_length", 64 << 20)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(8), handlers=(service,), options=options)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    process = subprocess.Popen([peer, "call", str(port)])
    if service.shutdown.wait(90):
        server.stop(grace=5)  # GOAWAY
    assert process.wait(30) == 0, "our client failed, see above"
    server.stop(grace=None)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    peer = sys.argv[1]
    with subprocess.Popen([peer, "serve"], stdout=subprocess.PIPE, text=True) as process:
        try:
            python_client(int(process.stdout.readline()))
            assert process.poll() is None, "our server died"
        finally:
            process.kill()
    print("grpcio %s as client of our server: fine" % grpc.__version__)
    python_server(peer)
    print("grpcio %s as server of our client: fine" % grpc.__version__)


if __name__ == "__main__":
    main()
