#!/usr/bin/env bash
# Runs the interoperability test with Debian's Python, which is where python3-grpcio puts grpcio.
exec /usr/bin/python3 "$(dirname "$0")/grpc_interop_test.py" "$1"
