#!/bin/sh
# The README's service, word for word, written to a file, runs and answers; the built-in services run alone as it says.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
pids=
trap 'for p in $pids; do kill -TERM $p 2>/dev/null; done; wait; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
start() { # name, words of xenkit run
  out=$tmp/$1.out; : > "$out"; shift
  timeout -k 2 60 "$build/xenkit" run "$@" > "$out" 2>&1 &
  pids="$pids $!"
  i=0
  until grep -q 'listens on' "$out" || [ $i -gt 50 ]; do sleep 0.1; i=$((i + 1)); done
  port=$(sed -n 's/.*listens on .*:\([0-9]*\)$/\1/p' "$out" | head -n 1)
}

awk '/^```lua$/ { on = 1; next } /^```$/ { on = 0 } on' README.md > "$tmp/hello.lua"
lines=$(wc -l < "$tmp/hello.lua"); [ "$lines" -le 30 ] && [ "$lines" -ge 15 ]; ok $? "the README's service has $lines lines"
awk '/^```c$/ { on = 1; next } /^```$/ { on = 0 } on' README.md | cmp -s - examples/pair.c; ok $? "the README's C program is examples/pair.c"
[ "$(wc -l < examples/pair.c)" -le 60 ]; ok $? "in 60 lines"
start hello "$tmp/hello.lua" port=0 greeting=salut
out=$(timeout 5 bash -c "cat < /dev/tcp/127.0.0.1/$port"); has "$out" "salut, visitor 1"; ok $? "it answers"

start store scripts/services/store.lua socket="$tmp/xs"
i=0; until [ -S "$tmp/xs" ] || [ $i -gt 50 ]; do sleep 0.1; i=$((i + 1)); done
if command -v xenstore-write > /dev/null; then
  XENSTORED_PATH=$tmp/xs timeout 5 xenstore-write /a b
  out=$(XENSTORED_PATH=$tmp/xs timeout 5 xenstore-read /a); [ "$out" = b ]; ok $? "store socket=PATH alone"
fi
mkdir "$tmp/root"; echo "<h1>mine</h1>" > "$tmp/root/index.html"
start www scripts/services/www.lua root="$tmp/root" port=0
has "$(curl -s -m 5 "http://127.0.0.1:$port/")" mine; ok $? "www root=DIR port=N alone"
start dns scripts/services/dns.lua zone=site/xenkit.zone port=0
[ "$(dig +short +time=2 +tries=2 @127.0.0.1 -p "$port" www.xenkit.test A)" = 127.0.0.1 ]; ok $? "dns zone=FILE port=N alone"
start queue scripts/services/queue.lua data="$tmp/jobs" port=0
[ -d "$tmp/jobs" ]; ok $? "queue data=DIR port=N alone"
for s in store www dns queue; do
  out=$(timeout 5 "$build/xenkit" run scripts/services/$s.lua --help); has "$out" "Keys:"; ok $? "$s --help"
  timeout 10 "$build/xenkit" run scripts/services/$s.lua nonsense=1 > "$tmp/err" 2>&1; [ $? = 2 ] && has "$(cat "$tmp/err")" "unknown key 'nonsense'"; ok $? "$s: an unknown key is an error"
done
out=$(nm -D --defined-only "$build/libxenkit.so" | awk '$3 !~ /^xk_[a-z]/ && $3 != "XENKIT_0" { print $3 }'); [ -z "$out" ]; ok $? "libxenkit.so exports public names only"
echo "# $out" | head -n 3
echo "1..$n"
exit $bad
