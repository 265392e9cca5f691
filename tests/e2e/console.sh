#!/bin/sh
# The console service of a hosted world from the outside: readers and the writer, scrollback, search, statistics, logs,
# escape policy, floods, a domain whose ring makes no sense.
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
until_true() { t=$(($1 * 10)); shift; until "$@" > /dev/null 2>&1; do t=$((t - 1)); [ $t -gt 0 ] || return 1; sleep 0.1; done; }

cat > "$tmp/talker.lua" <<'S'
return { summary = "Says things, and gives back what is typed.",
  params = { { "flood", type = "integer", default = 0 } },
  start = function(ctx)
    print("colour \27[31mred\27[0m title \27]0;evil\7 end")
    for i = 1, ctx.params.flood do
      ctx.console:write(("flood %06d %s\n"):format(i, ("x"):rep(80)))
    end
    if ctx.params.flood > 0 then print "flood is over" end
    while true do
      local text = ctx.console:read()
      if not text then return end
      print("typed: " .. text:gsub("[\r\n]", ""))
    end
  end }
S
echo 'return { { domain = "quiet*", escape = "strip" } }' > "$tmp/policy.lua"
cat > "$tmp/triggers.lua" <<'T'
return {
  { domain = "talker", match = "^typed: (%a+)", action = function(e) e.mark(e.captures[1] .. " is number " .. e.count) end },
  { match = "three", action = function() while true do end end },
}
T
cat > "$tmp/w.lua" <<W
return { name = "c", domains = {
  { name = "console", service = "console", params = { rate = 262144, burst = 65536,
    rotate_size = 1024, policy = "$tmp/policy.lua",
    triggers = "$tmp/triggers.lua" } },
  { name = "talker", script = "$tmp/talker.lua" },
  { name = "quiet", script = "$tmp/talker.lua" },
  { name = "flooder", script = "$tmp/talker.lua", params = { flood = 20000 } },
} }
W
$x up -d -q "$tmp/w.lua"; ok $? "up"
log=$tmp/rt/c/console.log
logs() { cat "$log"*; } # with those that have rotated

out=$($x console talker --tail 5); has "$out" "colour "; ok $? "--tail prints what is kept and ends"
case $out in *evil* | *"]0;"*) false ;; *) true ;; esac; ok $? "a title does not reach the terminal"
has "$out" "$(printf '\033[31mred')"; ok $? "colours do"
out=$($x console talker --tail 5 --escape strip); has "$out" "colour red title  end"; ok $? "--escape strip: text alone"

# One types, another looks, a third takes over.
(sleep 0.3; echo one; sleep 3) | timeout 8 "$build/xenkit" console talker > "$tmp/a" 2> "$tmp/a.err" & a=$!
sleep 1
(sleep 0.3; echo two; sleep 0.7) | timeout 8 "$build/xenkit" console talker > "$tmp/b" 2> "$tmp/b.err"
has "$(cat "$tmp/b")" "typed: one"; ok $? "a second one sees what the first typed"
has "$(cat "$tmp/b.err")" "has the keyboard; you only look (--take"; ok $? "and is told who writes"
case $(cat "$tmp/b") in *"typed: two"*) false ;; *) true ;; esac; ok $? "and cannot type"
(sleep 0.3; echo three; sleep 0.7) | timeout 8 "$build/xenkit" console talker --take > "$tmp/c"
has "$(cat "$tmp/c")" "typed: three"; ok $? "--take takes the keyboard"
wait $a
has "$(cat "$tmp/a")" "has taken the keyboard"; ok $? "the one who had it is told"
out=$( (sleep 1) | timeout 5 "$build/xenkit" console talker -r); has "$out" "typed: three"; ok $? "-r only looks"

has "$($x console quiet --tail 1)" "colour red title  end"; ok $? "a policy file decides by domain"
logs | grep -q '\[talker\] \[xenkit\] three is number 2$'; ok $? "a trigger marks the log"
has "$($x console --stats)" "switched off: it took more than"; ok $? "one that does not end is switched off, and that is said"

out=$($x console talker --search typed); [ "$(echo "$out" | wc -l)" = 2 ] && has "$out" "typed: one"; ok $? "--search finds lines"
out=$($x console talker --search '^typed: t%a+$' -e --json); has "$out" '"line":"typed: three"'; ok $? "-e by a pattern, as JSON"
$x console talker --search nonesuch; [ $? = 1 ]; ok $? "exit code 1 when nothing is found"
$x console talker --search '(' -e 2> "$tmp/err"; [ $? = 2 ] && has "$(cat "$tmp/err")" "no Lua pattern"; ok $? "a wrong pattern is said"
$x console talker -n 3 2> "$tmp/err"; [ $? = 1 ] && has "$(cat "$tmp/err")" "has no console 3"; ok $? "a wrong console is said"
$x console 2> "$tmp/err"; [ $? = 2 ] && has "$(cat "$tmp/err")" "name a domain"; ok $? "no domain: what to do"
$x console talker -f 2> "$tmp/err"; [ $? = 2 ] && has "$(cat "$tmp/err")" "--tail"; ok $? "-f alone: what to do"

# 20 000 lines of 94 bytes at 256 KiB a second: six seconds, slowed, complete; others answer.
begin=$(date +%s%N)
(echo four; sleep 0.5) | timeout 5 "$build/xenkit" console talker > "$tmp/d"
has "$(cat "$tmp/d")" "typed: four"; ok $? "another console answers during a flood"
until_true 15 grep -q "flood is over" "$log"; ok $? "the flood comes to its end"
echo "# $((($(date +%s%N) - begin) / 1000000)) ms later"
[ "$(logs | grep -c '\[flooder\] flood [0-9]')" = 20000 ]; ok $? "all of it is in the logs"
[ -s "$log.1" ] && [ -s "$log.2" ] && [ "$(stat -c %s "$log.1")" -lt 1200000 ]; ok $? "which have rotated by size"
out=$($x console --stats --json)
echo "$out" | grep -q '"name":"flooder"[^}]*"throttled_s":[1-9]'; ok $? "it was slowed, and that is counted"
has "$($x console --stats)" flooder; ok $? "--stats as a table"
! logs | LC_ALL=C grep -q '[[:cntrl:]]' && logs | grep -q 'x1b\[31mred'; ok $? "the log holds no control bytes"
logs | grep -q '^20[0-9-]*T[0-9:]*Z \[talker\] typed: one$'; ok $? "each line has time and name"
$x down; ok $? "down"
echo "1..$n"
exit $bad
