#!/bin/sh
# A world from the outside: verbs of the command, Debian's own xenstore tools, consoles, the end without a trace.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 20 $build/xenkit"
trap '$x down >/dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }

cat > "$tmp/w.lua" <<'W'
return { name = "t", domains = {
  { name = "log", service = "log" },
  { name = "hello", script = "HERE/examples/hello.lua", params = { port = 0 }, restart = "always" },
} }
W
sed -i "s|HERE|$(pwd)|" "$tmp/w.lua"
$x up -d -q "$tmp/w.lua"; ok $? "up -d"
out=$($x list --json); has "$out" '"name":"hello"'; ok $? "list --json"
out=$($x info --json); has "$out" '"hello.visitors":"127.0.0.1:'; ok $? "info --json names addresses"
port=${out#*hello.visitors\":\"127.0.0.1:}; port=${port%%\"*}
# The service answers; its console shows it.
out=$(timeout 5 bash -c "cat < /dev/tcp/127.0.0.1/$port"); has "$out" "hello, visitor 1"; ok $? "the service answers"
out=$( (sleep 1) | timeout 5 "$build/xenkit" console hello); has "$out" "waits for visitors"; ok $? "console shows scrollback"

XENSTORED_PATH=$tmp/rt/t/store.sock
export XENSTORED_PATH
if command -v xenstore-ls > /dev/null; then
  out=$(timeout 5 xenstore-ls /local/domain/1); has "$out" 'name = "store"'; ok $? "xenstore-ls"
  timeout 5 xenstore-write /test/a hi /test/b there; ok $? "xenstore-write"
  out=$(timeout 5 xenstore-read /test/b); [ "$out" = there ]; ok $? "xenstore-read"
  timeout 5 xenstore-watch -n 2 /test > "$tmp/watch" & w=$!
  sleep 0.5; timeout 5 xenstore-write /test/c now; wait $w; ok $? "xenstore-watch ends after two events"
  has "$(cat "$tmp/watch")" "/test/c"; ok $? "xenstore-watch saw the write"
  out=$(timeout 5 xenstore-list /test); [ "$(echo $out)" = "a b c" ]; ok $? "xenstore-list"
  timeout 5 xenstore-chmod /test/a n0 r5; timeout 5 xenstore-exists /test/a; ok $? "xenstore-exists, -chmod"
  timeout 5 xenstore-rm /test; timeout 5 xenstore-exists /test; [ $? = 1 ]; ok $? "xenstore-rm"
else
  n=$((n + 1)); echo "ok $n - xenstore tools # SKIP package xenstore-utils is not installed"
fi
out=$($x store read /local/domain/1/name); [ "$out" = store ]; ok $? "store read"

# Bytes that are no packet: their connection ends, the store goes on.
printf '\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377\377garbage' | timeout 5 bash -c "
  lua5.4 -e 'local s = io.read(\"a\"); io.write(s)' > $tmp/junk"
lua5.4 tests/e2e/lib/unix_send.lua "$build" "$XENSTORED_PATH" "$tmp/junk" > "$tmp/out" 2>&1; ok $? "a malformed packet ends its connection"
out=$( (sleep 1) | timeout 5 "$build/xenkit" console -r store); has "$out" "field len is above 4096"; ok $? "its console says which field"
out=$($x store read /local/domain/1/name); [ "$out" = store ]; ok $? "and the store goes on"

out=$(printf '6*7\nstore:read "name"\n' | timeout 10 "$build/xenkit" repl); has "$out" "42"; ok $? "repl evaluates"
$x pause hello && has "$($x list)" paused; ok $? "pause"
$x unpause hello; ok $? "unpause"
pid=$($x list --json | tr '{' '\n' | sed -n 's/.*"name":"hello".*"pid":\([0-9]*\).*/\1/p')
[ -n "$pid" ] && kill -9 "$pid"; sleep 1
out=$($x list --json); has "$out" '"name":"hello"'; ok $? "a domain that was killed comes back"
out=$(timeout 5 bash -c "cat < /dev/tcp/127.0.0.1/$port"); has "$out" "hello, visitor 1"; ok $? "on the same port"
out=$($x create --name second examples/hello.lua port=0); has "$out" "second"; ok $? "create"
$x shutdown second; ok $? "shutdown"
out=$($x list); case "$out" in *second*) false ;; *) true ;; esac; ok $? "and it is gone"
$x destroy store 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" "xenkit down"; ok $? "a vital domain is not destroyed"
$x destroy nosuch 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" "no domain 'nosuch'"; ok $? "a wrong name is said"
out=$($x dmesg); has "$out" "crashed"; ok $? "dmesg tells of the crash"
$x down; ok $? "down"
[ -z "$(ls "$tmp/rt" 2>/dev/null)" ]; ok $? "no socket or file is left"
$x list 2> "$tmp/err"; [ $? = 3 ] && has "$(cat "$tmp/err")" "no world runs"; ok $? "no world: exit code 3 and what to do"

# A vital domain dies: the world says so and ends. The store is started again (store.sh).
timeout -k 2 20 "$build/xenkit" up -q "$tmp/w.lua" 2> "$tmp/err" & p=$!
sleep 1.5
pid_of() { $x list --json | tr '{' '\n' | sed -n "s/.*\"name\":\"$1\".*\"pid\":\([0-9]*\).*/\1/p"; }
pid=$(pid_of store)
[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
sleep 0.5
out=$($x store read /local/domain/1/name); [ "$out" = store ]; ok $? "the death of the store is survived"
out=$($x dmesg); has "$out" "exit code 137; its journal goes on"; ok $? "and said"
pid=$(pid_of console)
[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
wait $p; [ $? = 1 ] && has "$(cat "$tmp/err")" "console ended"; ok $? "the death of the console is said, and ends the world"

# A store that is told to keep no journal dies, and with it the world.
echo 'return { name = "t", domains = { { name = "store", service = "store", params = { journal = "" } } } }' > "$tmp/f.lua"
timeout -k 2 20 "$build/xenkit" up -q "$tmp/f.lua" 2> "$tmp/err" & p=$!
sleep 1.5
[ -e "$tmp/rt/t/store.sock" ] && [ -z "$(ls "$tmp"/rt/t/store.journal* 2> /dev/null)" ]; ok $? "a world file's entry sets the store's parameters"
pid=$(pid_of store)
[ "${pid:-0}" -gt 1 ] && kill -9 "$pid"
wait $p; [ $? = 1 ] && has "$(cat "$tmp/err")" "exit code 137, and it kept no journal"; ok $? "a store without a journal ends its world"

sed 's|""|"/tmp/elsewhere"|' "$tmp/f.lua" > "$tmp/g.lua"
$x up -q "$tmp/g.lua" 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" "in the world's folder"; ok $? "and it is nowhere else"

# The usual limit of descriptors is that of a shell, not of a world.
echo "return { name = \"t\", domains = { { name = \"many\", script = \"$(pwd)/tests/e2e/lib/log_talker.lua\", replicas = 40 } } }" > "$tmp/many.lua"
(ulimit -Sn 64; exec $x up -d -q "$tmp/many.lua") && [ "$($x list --json | tr '{' '\n' | grep -c '"name":"many-.*"state":"running"')" = 40 ]
ok $? "forty domains, started where 64 descriptors are allowed"
$x down

# Ctrl-C.
$x up -q "$tmp/w.lua" & p=$!
sleep 1.5
kill -INT "$(pgrep -P $p)" 2>/dev/null; wait $p; ok $? "Ctrl-C ends a world in good order"
[ -z "$(ls "$tmp/rt" 2>/dev/null)" ]; ok $? "and leaves nothing"
echo "1..$n"
exit $bad
