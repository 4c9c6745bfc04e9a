#!/usr/bin/env bash
# llhttp 9.3.0 as a static library: its generated C sources come in the aiohttp source package, pinned by hash.
# Usage: llhttp.sh key | build DIR     (as boringssl.sh)
# Debian's llhttp 8.1 predates fixes against request smuggling; hence a newer one. Lenient flags stay off.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

case ${1:-} in
  key)
    { cat "${BASH_SOURCE[0]}" "$here/llhttp-requirements.txt"; gcc -dumpfullversion -dumpversion; uname -m; } |
      sha256sum | cut -c1-16
    exit ;;
  build) out=$2 ;;
  *) sed -n '2,4s/^# //p' "${BASH_SOURCE[0]}" >&2; exit 2 ;;
esac

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# pip insists on asking the package for its metadata, which needs setuptools; the hash covers what we take.
python3 -m pip download --quiet --no-deps --no-binary aiohttp --require-hashes \
  --requirement "$here/llhttp-requirements.txt" --dest "$work" > "$work/pip.log" 2>&1 ||
  { tail -20 "$work/pip.log" >&2; echo "llhttp: pip could not fetch the aiohttp source package" >&2; exit 1; }
tar -xzf "$work"/aiohttp-*.tar.gz -C "$work" --strip-components=1 --wildcards \
  '*/vendor/llhttp/build/*' '*/vendor/llhttp/src/native/*' '*/vendor/llhttp/LICENSE'
src=$work/vendor/llhttp

mkdir -p "$out/include" "$out/lib"
flags=(-O2 -DNDEBUG -fPIC -ffunction-sections -fdata-sections -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
(cd "$work" && gcc "${flags[@]}" -I"$src/build" -c "$src"/build/c/*.c "$src"/src/native/*.c && ar rcs "$out/lib/libllhttp.a" ./*.o)
cp "$src/build/llhttp.h" "$out/include/"
cp "$src/LICENSE" "$out/"
