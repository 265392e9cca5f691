#!/bin/sh
# Does the layer check find what it is there to find? Plants one forbidden arrow of each kind in a copy of the tree.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
n=0 bad=0
cp -r layers.txt include src drivers bindings "$tmp/" || exit 1

result() { # expected-exit name
  n=$((n + 1))
  if [ "$rc" = "$1" ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi
}

lua5.4 scripts/check-layers.lua --root . >/dev/null; rc=$?
result 0 "the tree has no forbidden arrow"

plant() { # file line name
  cp "$tmp/$1" "$tmp/saved"
  echo "$2" >> "$tmp/$1"
  lua5.4 scripts/check-layers.lua --root "$tmp" >"$tmp/out"; rc=$?
  mv "$tmp/saved" "$tmp/$1"
  result 1 "$3 is found"
}
plant src/ring/ring.c '#include "platform/hosted/private.h"' "ring to platform"
plant src/base/buf.c '#include <unistd.h>' "an OS header in base"
plant src/vchan/vchan.c '#include <lua.h>' "Lua in src"
plant include/xenkit/vchan.h '#include <sys/socket.h>' "an OS header in a public header"
plant src/proto/dns/name.c '#include "store/tree.h"' "a sibling's header"
plant drivers/console/front.c '#include "drivers/console/back.h"' "front to back"
plant bindings/lua_world.c '#include "host/hyp.h"' "a private header in a binding"

object=$(find "$build" -path '*src/ring/ring.c.o' | head -n 1)
if [ -n "$object" ]; then
  mkdir -p "$tmp/o/src/ring"
  printf 'int open(const char *, int, ...);\nint f(void);\nint f(void) { return open("x", 0); }\n' > "$tmp/t.c"
  cc -c "$tmp/t.c" -o "$tmp/o/src/ring/ring.c.o"
  lua5.4 scripts/check-layers.lua --root . "$tmp/o/src/ring/ring.c.o" >/dev/null; rc=$?
  result 1 "a system call in an object of the ring floor is found"
fi
echo "1..$n"
exit $bad
