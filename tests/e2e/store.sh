#!/bin/sh
# A store that outlives its process, under load from 64 sockets and two domains' rings: handed over to a new process again
# and again, then killed again and again. XK_LONG=1: 200 kills.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 60 $build/xenkit"
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }

updates=8 kills=12 between=0.15
[ -z "${XK_LONG:-}" ] || { updates=100 kills=200 between=0.3; }
if ! ${CC:-cc} -O2 -Iinclude -Isrc -o "$tmp/soak" tests/e2e/lib/store_soak.c src/store/wire.c -lpthread 2> "$tmp/err"; then
    cat "$tmp/err"
    ok 1 "the client is built"
fi
start() { # NAME SECONDS
    cat > "$tmp/$1.lua" << W
return { name = "$1", domains = {
  { name = "a", script = "$PWD/tests/e2e/lib/store_ringer.lua", params = { seconds = $2 }, restart = "never" },
  { name = "b", script = "$PWD/tests/e2e/lib/store_ringer.lua", params = { seconds = $2 }, restart = "never" },
} }
W
    $x up -d -q "$tmp/$1.lua"
    ok $? "$1: the world is up"
}
ringers() { # NAME
    for turn in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
        [ "$(grep -c 'ringer: requests' "$tmp/rt/$1/console.log" 2> /dev/null)" != 2 ] || break
        sleep 0.5
    done
    [ "$(grep -c 'ringer: .*wrong=0' "$tmp/rt/$1/console.log")" = 2 ]
    ok $? "$1: both domains got every answer"
    grep -h 'ringer: ' "$tmp/rt/$1/console.log" | sed 's/^/# /'
}
store_pid() { $x list --json | tr '{' '\n' | sed -n 's/.*"name":"store".*"pid":\([0-9]*\).*/\1/p'; }

# --- handed over ---
seconds=$(awk "BEGIN { print int($updates * ($between + 0.5) + 3) }")
start update "$seconds"
"$tmp/soak" "$tmp/rt/update/store.sock" 64 "$seconds" > "$tmp/out" 2>&1 & soak=$!
sleep 1
pauses=
i=0
while [ $i -lt $updates ]; do
    i=$((i + 1))
    out=$($x store update --json); has "$out" '"sockets":64' || { ok 1 "update $i"; break; }
    pause=${out#*pause_ms\":}; pauses="$pauses ${pause%%[,\}]*}"
    sleep $between
done
[ $i = $updates ]; ok $? "$updates updates with 64 sockets each"
echo "$pauses" | tr ' ' '\n' | sed '/^$/d' | sort -n | awk '{ v[NR] = $1 } END { printf "# pause in ms: median %.1f, longest %.1f\n", v[int((NR + 1) / 2)], v[NR]; exit v[int((NR + 1) / 2)] > 500 }'
ok $? "the pause is short"
wait $soak; ok $? "no request of the sockets was lost, answered twice or wrong"
sed 's/^/# /' "$tmp/out"
ringers update
$x down > /dev/null 2>&1

# --- killed ---
# A dozen in a row that were killed before they served anybody are given up, so every fourth may come up first.
serves() {
    for turn in 1 2 3 4 5 6 7 8 9 10; do
        [ "$($x store control check 2> /dev/null)" != OK ] || break
        sleep 0.2
    done
}
seconds=$(awk "BEGIN { print int($kills * ($between + 0.45) + 3) }")
start crash "$seconds"
"$tmp/soak" "$tmp/rt/crash/store.sock" 16 "$seconds" crash > "$tmp/out" 2>&1 & soak=$!
sleep 0.5
i=0
tries=0
while [ $i -lt $kills ] && [ $tries -lt $((5 * kills)) ]; do
    tries=$((tries + 1))
    pid=$(store_pid)
    [ "${pid:-0}" -gt 1 ] && kill -9 "$pid" 2> /dev/null && i=$((i + 1)) # 0: it is between two processes
    [ $((tries % 4)) != 0 ] || serves
    sleep "$(awk "BEGIN { srand($tries$$); print rand() * 2 * $between }")"
done
killed=$i
wait $soak; ok $? "$kills kills: what was acknowledged to sockets was there"
sed 's/^/# /' "$tmp/out"
ringers crash
restarts=$($x list --json | tr '{' '\n' | sed -n 's/.*"name":"store".*"restarts":\([0-9]*\).*/\1/p')
[ $killed = $kills ] && [ "${restarts:-0}" -ge $((kills / 2)) ]; ok $? "the store was started again: $killed kills, ${restarts:-0} times"
out=$($x store control check); [ "$out" = OK ]; ok $? "the store is sound"
echo "1..$n"
exit $bad
