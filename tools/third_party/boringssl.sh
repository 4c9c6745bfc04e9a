#!/usr/bin/env bash
# BoringSSL as static libraries: fetched by checksum (Cargo.lock), built once, kept in the user's cache.
# Usage: boringssl.sh key | build DIR
#   key    prints the hash of everything that decides the result
#   build  leaves include/ and lib/ in DIR
# Debian's BoringSSL is of 2022 and several times slower at P-256; hence a newer one.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1:-} in
  key)
    { cat "${BASH_SOURCE[0]}" "$here/Cargo.lock"; g++ -dumpfullversion -dumpversion; uname -m; } | sha256sum | cut -c1-16
    exit ;;
  build) out=$2 ;;
  *) sed -n '2,6s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cargo metadata --locked --format-version 1 --manifest-path "$here/Cargo.toml" \
  --filter-platform "$(uname -m)-unknown-linux-gnu" > "$work/metadata.json" 2> "$work/cargo.log" ||
  { cat "$work/cargo.log" >&2; echo "boringssl: cargo could not fetch the boring-sys crate" >&2; exit 1; }
src=$(python3 -c '
import json, os, sys
packages = json.load(open(sys.argv[1]))["packages"]
print(next(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "boring-sys"))
' "$work/metadata.json")/deps/boringssl

# Position independent, because binaries are PIE; sections, so that the linker can drop what nobody calls.
flags="-O2 -DNDEBUG -ffunction-sections -fdata-sections -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"
{
  cmake -GNinja -S "$src" -B "$work/build" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DBUILD_TESTING=OFF \
    -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_C_FLAGS_RELEASE="$flags" -DCMAKE_CXX_FLAGS_RELEASE="$flags" &&
  ninja -C "$work/build" crypto ssl
} > "$work/build.log" 2>&1 || { tail -40 "$work/build.log" >&2; echo "boringssl: build failed" >&2; exit 1; }

mkdir -p "$out/lib"
cp -r "$src/include" "$out/"
cp "$src/LICENSE" "$out/"
find "$work/build" -name libcrypto.a -exec cp {} "$out/lib/" \;
find "$work/build" -name libssl.a -exec cp {} "$out/lib/" \;
