#!/usr/bin/env bash
# Usage: loads_test.sh PROGRAM. What the program loads at run time: the C library and nothing else. OpenSSL above all
# must not come in beside BoringSSL, because their symbols mix; and one file is all there is to deploy.
set -euo pipefail
loaded=$(ldd "$1" | sed 's/^[[:space:]]*//; s/[[:space:]].*//; s|.*/||')
extra=$(grep -vE '^(linux-vdso|ld-linux[-a-z0-9_]*|libc|libm|libdl|libpthread|librt|libresolv)\.so' <<< "$loaded" || true)
if [[ -n $extra ]]; then
  echo "$1 loads more than the C library:" $extra >&2
  exit 1
fi
echo "$1 loads only:" $loaded
