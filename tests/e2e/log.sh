#!/bin/sh
# The log service: filters, loss under a flood counted to the record, last words of a killed domain, a restart of the log
# domain, levels at run time, readers with and without the right, a slow reader.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 20 $build/xenkit"
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
hasnt() { case "$1" in *"$2"*) echo "# '$2' in: $1"; false ;; *) true ;; esac; }
# The list's fields are sorted: domid comes before name, pid after.
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
tell() { # NAME WORDS - has the talker do it, and waits until it has
    id=$(domid "$1")
    $x store rm "/local/domain/$id/data/done" > /dev/null 2>&1
    $x store write "/local/domain/$id/data/cmd" "$2"
    i=0
    while [ $i -lt 100 ]; do
        [ "$($x store read "/local/domain/$id/data/done" 2> /dev/null)" != "${2%% *}" ] || return 0
        i=$((i + 1)); sleep 0.05
    done
    echo "# $1 did not do: $2"
}
stat() { # NAME COUNTER - the last domain of that name
    $x log --stats --json | tr '{' '\n' | grep "\"name\":\"$1\"" | tail -n 1 | sed -n "s/.*\"$2\":\([0-9]*\).*/\1/p"
}
settled() { # NAME SEQ - waits until all up to it was received or said to be lost
    i=0
    while [ $i -lt 100 ] && [ "$(stat "$1" logged)" != "$2" ]; do i=$((i + 1)); sleep 0.05; done
    [ "$(stat "$1" logged)" = "$2" ] || { echo "# $1: $(stat "$1" logged) logged, wanted $2"; false; }
}
# Of the JSON lines of one sender: records, lost ones, last sequence number; and whether each number came once, in order.
count() {
    awk '
        { match($0, /"seq":[0-9]+/); seq = substr($0, RSTART + 6, RLENGTH - 6) + 0 }
        /"lost":/ { match($0, /"lost":[0-9]+/); k = substr($0, RSTART + 7, RLENGTH - 7) + 0
            if (seq != last + 1) wrong++
            lost += k; last += k; next }
        { if (seq != last + 1) wrong++; last = seq; got++ }
        END { print got + 0, lost + 0, last + 0, wrong + 0 }'
}

cat > "$tmp/a.lua" << W
return { name = "a", domains = {
  { name = "t", script = "$PWD/tests/e2e/lib/log_talker.lua", restart = "never" },
  { name = "u", script = "$PWD/tests/e2e/lib/log_talker.lua", restart = "never" },
  { name = "log", service = "log", restart = "always" },
  { name = "may", script = "$PWD/tests/e2e/lib/log_reader.lua", rights = { "log" }, restart = "never" },
  { name = "maynot", script = "$PWD/tests/e2e/lib/log_reader.lua", restart = "never" },
} }
W
$x up -d -q "$tmp/a.lua"; ok $? "a world with a log domain is up"
sleep 0.7
out=$($x log); has "$out" "t: early word" && has "$out" "u: early word"
ok $? "what was said before the log domain was there came first, of all domains"
has "$out" "log: the log domain is there"; ok $? "the log domain's own records are among them"

# --- records and filters ---
tell t "say hello there"
out=$($x log t --tail 1); has "$out" "info    t: hello there length=11"; ok $? "a record with its field, as a line"
out=$($x log t --tail 1 --json)
has "$out" '"domain":"t"' && has "$out" '"fields":{"length":11}' && has "$out" '"seq":2' && has "$out" '"mono":' &&
    has "$out" '"wall":' && has "$out" '"time":'
ok $? "as JSON, with both clocks of the sender and the time of arrival"
tell u "say of u"
out=$($x log u); hasnt "$out" "hello there" && has "$out" "of u"; ok $? "of one domain"
out=$($x log --grep 'length=%d%d'); has "$out" "hello there" && hasnt "$out" "of u"; ok $? "by a pattern"
out=$($x log --grep 'word' --tail 1); has "$out" "early word" && [ "$(echo "$out" | wc -l)" = 1 ]; ok $? "the last that matches"
out=$($x log --level warning); hasnt "$out" "hello"; ok $? "by level"
out=$($x log --since 1h); has "$out" "hello"; ok $? "since an hour"
out=$($x log --since 2100-01-01); [ -z "$out" ]; ok $? "since later"
$x log --since yesterday 2> "$tmp/err"; [ $? = 2 ] && has "$(cat "$tmp/err")" "write 10m"; ok $? "a wrong time is explained"
$x log nobody > "$tmp/out" 2> "$tmp/err"; [ $? = 1 ] && [ ! -s "$tmp/out" ] && has "$(cat "$tmp/err")" "domain 'nobody' has said nothing yet"
ok $? "a domain that nobody has heard of"
$x log --level error u; ok $? "one that has said nothing of the kind"
for clash in "--stats -f" "--stats --grep x" "--set-level debug --tail 3" "--stats --set-level debug" "--stats u"; do
  $x log $clash > "$tmp/out" 2> "$tmp/err"; [ $? = 2 ] && has "$(cat "$tmp/err")" "--s"; ok $? "useless together: $clash"
done
timeout 3 "$build/xenkit" log -f u --tail 0 > "$tmp/follow" & f=$!
sleep 0.4; tell u "say while followed"; wait $f
out=$(cat "$tmp/follow"); has "$out" "while followed" && hasnt "$out" "early"; ok $? "followed from the end on"

# --- levels ---
tell t debug
out=$($x log t); has "$out" "texts made: 0"; ok $? "debug is not said, and its text not made"
$x log --set-level debug t --source net; ok $? "a level for one source of one domain"
tell t debug
out=$($x log t --level debug --source net); has "$out" "debug   t[net.tcp]: in detail"; ok $? "is heard at once"
out=$($x log t); has "$out" "texts made: 1"; ok $? "and nothing else is made"
$x log --set-level warning 99 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" "no domain '99'"; ok $? "of no domain of that number"
$x log --set-level warning; tell u "say unheard"
out=$($x log u); hasnt "$out" "unheard"; ok $? "a level for the world"
$x log --set-level reset; $x log --set-level nonsense 2> "$tmp/err"; [ $? = 2 ]; ok $? "a wrong level is refused"

# --- a flood ---
tell u "flood 20000"
seq=20003 # early word, of u, while followed; unheard was not said
settled u $seq; ok $? "all of a flood was received or said to be lost, before anything more is said"
tell u "say after"; seq=$((seq + 1)); settled u $seq; ok $? "and what comes after it"
out=$($x log u --json | count); set -- $out
[ $(($1 + $2)) = $seq ] && [ "$3" = $seq ] && [ "$4" = 0 ] && [ "$2" -gt 1000 ]
ok $? "to the record, each loss at its place: $1 received + $2 lost = $seq"
[ "$(stat u received)" = "$1" ] && [ "$(stat u lost)" = "$2" ]; ok $? "and so say the counters"

# --- a restart of the log domain ---
kill -9 "$(pid log)"; i=0
while [ $i -lt 60 ] && ! $x log 2> /dev/null | grep -q "t: "; do i=$((i + 1)); sleep 0.1; done
tell t "say after the restart"; tell u "say also after"
settled u $((seq + 1)); ok $? "senders went on after a restart of the log domain"
out=$($x log t); has "$out" "hello there length=11 " && has "$out" "[from its ring]" && has "$out" "after the restart"
ok $? "what was in their rings came back"
out=$($x log u --json | count); set -- $out
[ $(($1 + $2)) = $((seq + 1)) ] && [ "$4" = 0 ]; ok $? "the rest is said to be lost: $1 + $2 = $((seq + 1))"
tell t debug; out=$($x log t --tail 1); has "$out" "texts made: 1"; ok $? "a domain kept its levels"

# --- last words ---
$x store write "/local/domain/$(domid u)/data/cmd" "hang 5"; sleep 0.5
out=$($x log u); hasnt "$out" "nothing after this"; ok $? "a domain that hangs sends nothing"
kill -9 "$(pid u)"; sleep 0.7
out=$($x log u --tail 6)
has "$out" "error   u: last word 1 [" && has "$out" "u: last word 5" && has "$out" "u: nothing after this"
ok $? "killed, its last words are there"
[ "$(echo "$out" | grep -c 'last words\]')" = 6 ]; ok $? "marked as such"
out=$($x log u --json | count); set -- $out; [ "$4" = 0 ] && [ "$3" = $((seq + 7)) ]; ok $? "once each, and none missing"
out=$($x log); has "$out" "read the last words of a domain"; ok $? "the log domain tells of it"
$x store write "/local/domain/$(domid t)/data/cmd" crash; sleep 0.7
out=$($x log t); has "$out" "about to fail" && has "$out" "it fails here traceback="; ok $? "an error that ends a domain is logged"

# --- the right to read ---
out=$(cat "$tmp/rt/a/console.log")
has "$out" '[maynot] reader: refused: this domain has no right to the log; its world file must say rights = { "log" }'
ok $? "a domain without the right is refused, and told what to do"
$x create --name v tests/e2e/lib/log_talker.lua > /dev/null; tell v "say tell"; sleep 0.3
hasnt "$(grep -a maynot "$tmp/rt/a/console.log" | sed "s/rights = //")" "="; ok $? "and sees nothing"
has "$out" "[may] reader: once=1" && has "$out" "[may] reader: set_level done"
ok $? "one with the right reads what is kept, and may set levels"
$x down

# --- a slow reader, a rate ---
cat > "$tmp/b.lua" << W
return { name = "b", domains = {
  { name = "log", service = "log", params = { records = 500, rate = 4000, burst = 100 } },
  { name = "t", script = "$PWD/tests/e2e/lib/log_talker.lua", restart = "never" },
  { name = "slow", script = "$PWD/tests/e2e/lib/log_reader.lua", rights = { "log" }, params = { slow = 0.0005, domain = "t" },
    restart = "never" },
  { name = "may", script = "$PWD/tests/e2e/lib/log_reader.lua", rights = { "log" }, params = { domain = "t" } },
  { name = "liar", script = "$PWD/tests/e2e/lib/log_liar.lua", restart = "never" },
} }
W
$x up -d -q "$tmp/b.lua"; sleep 0.7
tell t "stream 6000"; settled t 6001 # else the next word may be one of the lost
tell t "say tell"; settled t 6002; ok $? "a domain that is faster than its rate"
[ "$(stat t limited)" -gt 0 ] && [ $(($(stat t received) + $(stat t lost))) = 6002 ] && [ "$(stat t lost)" -gt 0 ]
ok $? "was made to wait $(stat t limited) times and lost at home: $(stat t received) + $(stat t lost) = 6002"
i=0
while [ $i -lt 100 ] && [ "$(grep -ac 'seen=' "$tmp/rt/b/console.log")" -lt 2 ]; do i=$((i + 1)); sleep 0.1; done
all=$(($(stat t kept) + $(stat t evicted)))
out=$(sed -n 's/.*\[slow\] reader: seen=\([0-9]*\) skipped=\([0-9]*\).*/\1 \2/p' "$tmp/rt/b/console.log"); set -- $out 0 0
[ "$2" -gt 0 ] && [ $(($1 + $2)) = "$all" ]; ok $? "a slow reader is told what it missed: $1 + $2 = $all"
out=$(sed -n 's/.*\[may\] reader: seen=\([0-9]*\) skipped=\([0-9]*\).*/\1 \2/p' "$tmp/rt/b/console.log"); set -- $out 0 0
[ "$2" = 0 ] && [ "$1" = "$all" ]; ok $? "one beside it saw all: $1"
[ "$(stat t kept)" -le 500 ]; ok $? "and no more is kept than was set"
i=0
while [ $i -lt 100 ] && ! grep -aq "liar: done" "$tmp/rt/b/console.log"; do i=$((i + 1)); sleep 0.1; done
has "$(grep -a liar "$tmp/rt/b/console.log")" "liar: done with 40"; ok $? "a liar has said all its lies"
out=$($x list --json | tr '{' '\n' | grep '"name":"log"'); has "$out" '"restarts":0'; ok $? "the log domain is there still"
out=$($x log --json | grep 'a lie' | grep -v '"domain":"liar"'); [ -z "$out" ]; ok $? "what it said stands under its own name"
tell t "say all the same"; has "$($x log t --tail 1)" "all the same"; ok $? "and nobody's words were touched, no level set"
$x down

cat > "$tmp/c.lua" << W
return { name = "c", domains = { { name = "t", script = "$PWD/tests/e2e/lib/log_talker.lua", restart = "never" } } }
W
$x up -d -q "$tmp/c.lua"; sleep 0.3
$x log 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" 'add { name = "log", service = "log" }'
ok $? "without a log domain the command says what to do"
has "$(cat "$tmp/rt/c/console.log")" "[t] info: early word"; ok $? "and the console has the words"
$x shutdown t; ok $? "and nothing waits for it"
$x down
echo "1..$n"
exit $bad
