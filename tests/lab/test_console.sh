# SPDX-License-Identifier: MIT
# Our console service in xenconsoled's place: as dom0's daemon, then as a stub domain with the bridge. Stock `xl console`
# is the user, on a terminal of its own (console_pty.c); the guests are Linux, PV and PVH. What runs in dom0 stands in
# lib/console_dom0.sh. xenconsoled is there again at the end.
. tests/lab/lib/tap.sh
step() { $lab run -t 60 "sh /h/console_dom0.sh $*"; }
user() { words=$*; $lab run -t 60 -i "sh /h/console_dom0.sh user $words" 2>&1; } # types what stands on stdin
log() { $lab run "cat /var/log/xen/console/$1"; }
xenkit() { $lab run -t 30 "export LD_LIBRARY_PATH=/h/lib PATH=/h:\$PATH; xenkit $*" 2>&1; }

if ! ${CC:-cc} -O2 -D_GNU_SOURCE -o "$tmp/console_pty" tests/lab/console_pty.c -lutil 2> "$tmp/err"; then
    cat "$tmp/err"
    exit 1
fi
cat > "$tmp/policy.lua" << 'POLICY'
return { { domain = "con-pvh", rate = 4096, burst = 2048 }, { domain = "console", stamps = "line" } }
POLICY
cat > "$tmp/triggers.lua" << 'TRIGGERS'
return { { domain = "con-*", match = "^trigger (%w+)", action = function(event)
  event.write("/local/domain/0/data/trigger/" .. event.domain, event.captures[1])
  event.mark("seen " .. event.captures[1])
end } }
TRIGGERS
"$build/xenkit" build scripts/services/console.lua -o "$tmp/console" --as /h/console > "$tmp/out" 2>&1
has "$(cat "$tmp/out")" "domain-core"; ok $? "domain-core is enough for the stub domain"
"$build/xenkit" build tests/lab/lib/hello.lua -o "$tmp/hello" --as /h/hello --name con-hello -m 16 > "$tmp/out" 2>&1
hello() { # BACK - a stub domain of ours says hello
    $lab run 'rm -f /var/log/xen/console/guest-con-hello.log; xl create -q /h/hello/con-hello.cfg'
    step until_true 15 grep -q "'hello on the console'" /var/log/xen/console/guest-con-hello.log
    ok $? "a stub domain's console front end on $1"
    $lab run 'xl destroy con-hello'
}
$lab put "$tmp/hello" "$build/xenkit" "$build/xenkit-domain" scripts/services/console.lua "$tmp/console" "$tmp/console_pty" \
    "$tmp/policy.lua" "$tmp/triggers.lua" tests/lab/lib/console_dom0.sh
$lab run 'rm -f /var/log/xen/console/*con-* /var/log/xen/console/guest-console* /var/log/xen/console/hypervisor*'

# --- dom0's daemon -----------------------------------------------------------------------------------------------------
is "$(step start)" up; ok $? "our daemon stands in xenconsoled's place"
$lab guest con-pv --pv --keep --memory 160 -- 'echo ready' > "$tmp/pv" 2>&1 &
$lab guest con-pvh --keep --memory 160 -- 'echo ready' > "$tmp/pvh" 2>&1 &
wait
for g in pv pvh; do has "$(cat "$tmp/$g")" ready; ok $? "xl create, $g"; done
cat > "$tmp/talk" << 'TALK'
+ #
> echo answer$((6*7))
+ answer42
> echo trigger hap""py
+ trigger happy
. 300
TALK
for g in pv pvh; do
    out=$(user con-$g < "$tmp/talk"); ok $? "xl console types and shows, $g"
    has "$out" "BusyBox"; ok $? "it begins with what was said before, $g"
    out=$(log guest-con-$g.log)
    has "$out" answer42 && has "$out" "[xenkit] seen happy" && ! printf %s "$out" | LC_ALL=C grep -q '[[:cntrl:]]'
    ok $? "the log has it, and the trigger's mark, and no control bytes, $g"
done
hello "ours in dom0"
is "$($lab run 'xenstore-read /local/domain/0/data/trigger/con-pv')" happy; ok $? "a trigger wrote a node"
has "$(printf '+ answer42\n. 100\n> echo again\n+ again\n' | user con-pv)" again; ok $? "the next user of xl console"

is "$(step second con-pv 0 log)" connected; ok $? "a further console connects"
printf '+ #\n> echo to second > /dev/hvc1; (head -n 1 < /dev/hvc1 > /tmp/got) & sleep 0.1; echo done$((1))\n+ done1\n' | user con-pv > "$tmp/out"
out=$(printf '+ to second\n> from second\n. 300\n' | user con-pv -t pv -n 1); ok $? "xl console -t pv -n 1 shows it"
out=$(printf '+ #\n> cat /tmp/got; echo end$((1))\n+ end1\n' | user con-pv); has "$out" "from second"; ok $? "and types into it"
has "$(log guest-con-pv+log.log)" "to second"; ok $? "it has a log of its channel's name"
has "$(xenkit console --on xen con-pv -n log --search second)" "to second"; ok $? "xenkit console finds it by name, and searches"

# A flood is slowed and complete, and another console answers meanwhile.
printf '+ #\n> (seq 1 1500 | sed "s/^/flood/"; echo flood""end) > /dev/console &\n+ flood100\n' | user con-pvh > "$tmp/out"
begin=$(now_ms)
printf '+ #\n> echo quick$((6*7))\n+ quick42\n' | user con-pv > "$tmp/out"; ok $? "another console answers during a flood"
echo "# in $(($(now_ms) - begin)) ms"
step until_true 20 grep -q floodend /var/log/xen/console/guest-con-pvh.log; ok $? "the flood comes to its end"
is "$($lab run 'grep -c "flood[0-9][0-9]*$" /var/log/xen/console/guest-con-pvh.log')" 1500; ok $? "all of it is in the log"
out=$(xenkit console --on xen --stats --json)
has "$out" '"throttled_s":' && printf %s "$out" | grep -q '"name":"con-pvh"[^}]*"throttled_s":[1-9]'; ok $? "it was slowed, and that is counted"
echo "# $(xenkit console --on xen --stats | sed -n 's/^con-pvh.*/&/p')"

$lab run 'mv /var/log/xen/console/guest-con-pv.log /var/log/xen/console/moved-con-pv'
printf '+ #\n> echo moved$((1))\n+ moved1\n. 2500\n> echo moved$((2))\n+ moved2\n. 200\n' | user con-pv > "$tmp/out"
has "$(log moved-con-pv)$(log guest-con-pv.log)" moved1 && has "$(log guest-con-pv.log)" moved2; ok $? "a log that was renamed loses no line"

$lab run 'xl debug-keys h' && step until_true 5 grep -q "pressed" /var/log/xen/console/hypervisor.log; ok $? "hypervisor.log has what Xen says now"
has "$(log hypervisor.log)" "(XEN) "; ok $? "and what it said before"
begin=$(now_ms)
(sleep 0.7; $lab run 'xl destroy con-pvh') &
printf '+ #\n. 15000\n' | user con-pvh > "$tmp/out"
[ $(($(now_ms) - begin)) -lt 10000 ]; ok $? "xl console ends with its guest"
wait
! has "$(xenkit console --on xen --stats)" con-pvh > /dev/null; ok $? "its console is gone"
! has "$($lab run 'sleep 0.5; xl list')" "(null)" > /dev/null; ok $? "and nothing of it is kept from dying"
$lab run 'xl destroy con-pv'

# --- a stub domain, and the bridge -------------------------------------------------------------------------------------
step stop
is "$(step start bridge=console)" up; ok $? "the daemon with a bridge, before there is a stub domain"
$lab run 'xl create -q /h/console/console.cfg'
step until_true 15 xenstore-read /tool/xenconsoled/domid; ok $? "the toolstack is told of it once it is ready"
stub=$($lab run 'xl domid console')
out=$($lab guest con-stub --keep --memory 160 -- 'echo ready' 2>&1); has "$out" ready; ok $? "xl create, its console at the stub"
is "$($lab run 'xenstore-read /local/domain/$(xl domid con-stub)/console/backend-id')" "$stub"; ok $? "as libxl decided"
out=$(user con-stub < "$tmp/talk"); ok $? "xl console types and shows, by the bridge"
has "$(log guest-con-stub.log)" answer42; ok $? "the bridge writes the log"
hello "ours in a stub domain"
has "$(xenkit console --on xen con-stub --search answer)" answer42; ok $? "xenkit console asks the stub itself"
is "$(step second con-stub "$stub" log)" connected; ok $? "a further console, at the stub"
printf '+ #\n> echo to second > /dev/hvc1\n. 300\n' | user con-stub > "$tmp/out"
printf '+ to second\n' | user con-stub -t pv -n 1 > "$tmp/out"; ok $? "xl console -t pv -n 1, by the bridge"

$lab run 'kill -9 $(cat /tmp/console-test/pid)'
out=$(printf 'echo alone$((1))\n' | $lab run -i 'export LD_LIBRARY_PATH=/h/lib; (cat; sleep 1) | /h/xenkit console --on xen con-stub --take' 2>&1)
has "$out" alone1; ok $? "without the bridge the stub goes on"
is "$(step start bridge=console)" up && step until_true 10 grep -q alone1 /var/log/xen/console/guest-con-stub.log
ok $? "and a new bridge fetches what was said meanwhile"
printf '+ alone1\n. 100\n> echo back$((1))\n+ back1\n' | user con-stub > "$tmp/out"; ok $? "xl console works again"
is "$(log guest-con-stub.log | grep -c '^answer42')" 1; ok $? "what was in the log is not there twice"
$lab run 'xl destroy con-stub'
! has "$(xenkit console --on xen --stats)" con-stub > /dev/null; ok $? "its console is gone from the bridge"
$lab run 'xl destroy console'
step until_true 15 stub_is_untold; ok $? "the toolstack is told that the stub is gone"
out=$($lab run 'cat /tmp/console-test/out')
! has "$out" "traceback" > /dev/null && ! has "$out" "task:" > /dev/null; ok $? "no error was printed"
printf '%s\n' "$out" | sed 's/^/# /'
step restore
finish
