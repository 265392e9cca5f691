#!/bin/sh
# Bad input: each gets a message that names file, line or field; what was running goes on.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 20 $build/xenkit"
trap '$x down >/dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
says() { # expected text, command...
  want=$1; shift
  "$@" > "$tmp/out" 2>&1; rc=$?
  if [ $rc = 0 ]; then echo "# it succeeded"; return 1; fi
  case "$(cat "$tmp/out")" in *"$want"*) true ;; *) echo "# no '$want' in: $(cat "$tmp/out")"; false ;; esac
}

printf 'return {\n  start = function(ctx)\n    print("x"\n  end,\n}\n' > "$tmp/syntax.lua"
says "syntax.lua:4:" $x run "$tmp/syntax.lua"; ok $? "a syntax error names file and line"
printf 'return { summary = "no start" }\n' > "$tmp/nostart.lua"
says "nostart.lua: the table has no function 'start'" $x run "$tmp/nostart.lua"; ok $? "a service without start"
printf 'print "side effect"\nreturn { start = function() end }\n' > "$tmp/does.lua"
says "does.lua:1:" $x run "$tmp/does.lua"; ok $? "a service that does something at load"
says "unknown key 'prot' (did you mean 'port'?)" $x run examples/hello.lua prot=1; ok $? "an unknown parameter"
says "'port': " $x run examples/hello.lua port=99999; ok $? "a parameter out of range"
if [ "$(cat /sys/hypervisor/type 2> /dev/null)" != xen ]; then
  says "this Linux is not on Xen" $x list --on xen; ok $? "--on xen without Xen"
fi
printf 'return {\n  name = "w",\n  domians = {},\n}\n' > "$tmp/key.lua"
says "key.lua:3: unknown key 'domians' in the world (did you mean 'domains'?)" $x up "$tmp/key.lua"; ok $? "a world file with an unknown key"
printf 'return {\n  domains = {\n    { name = "a", service = "log", memroy = 5 },\n  },\n}\n' > "$tmp/dkey.lua"
says "dkey.lua:3: unknown key 'memroy' in domain 'a' (did you mean 'memory'?)" $x up "$tmp/dkey.lua"; ok $? "an unknown key in a domain"
printf 'return { domains = { { name = "a", service = "nosuch" } } }\n' > "$tmp/svc.lua"
says "no built-in service 'nosuch'" $x up "$tmp/svc.lua"; ok $? "a service that does not exist"
says "no such entry" $x up "$tmp/none.lua" || says "No such file" $x up "$tmp/none.lua"; ok $? "a file that does not exist"
says "did you mean 'list'?" $x lsit; ok $? "an unknown verb"
cat > "$tmp/bad.zone" <<'Z'
$ORIGIN bad.test.
$TTL 1h
@ IN SOA ns1 host 1 2h 1h 2w 5m
@ IN NS ns1
ns1 IN A 127.0.0.1
www IN A 127.0.0.1
oops IN A 300.1.2.3
Z
says "bad.zone:7:" $x run scripts/services/dns.lua zone="$tmp/bad.zone" port=0; ok $? "a zone with an error on line 7"

# Against running services.
printf 'return { name = "b", domains = {\n { name = "www", service = "www", params = { port = 0 } },\n { name = "dns", service = "dns", params = { port = 0 } },\n { name = "many", script = "%s/tests/e2e/lib/log_talker.lua", scale = { min = 1, max = 2 } } } }\n' "$PWD" > "$tmp/w.lua"
$x up -d -q "$tmp/w.lua"; ok $? "a world with www and dns"
out=$($x scale many 9 2> "$tmp/err"); [ "$out" = 2 ] && grep -q "2 instead of 9: the max of many" "$tmp/err"; ok $? "more instances than a world allows: what there is, and why"
out=$($x scale many 0 2> "$tmp/err"); [ "$out" = 1 ] && grep -q "1 instead of 0: the min of many" "$tmp/err"; ok $? "fewer"
out=$($x scale many 2 2> "$tmp/err"); [ "$out" = 2 ] && [ ! -s "$tmp/err" ]; ok $? "a number that fits is taken without a word"
info=$($x info --json)
www=${info#*www.http\":\"127.0.0.1:}; www=${www%%\"*}
dns=${info#*dns.dns.udp\":\"127.0.0.1:}; dns=${dns%%\"*}
big=$(head -c 70000 /dev/zero | tr '\0' 'a')
out=$(printf 'GET / HTTP/1.1\r\nHost: x\r\nX-Big: %s\r\n\r\n' "$big" | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$www; cat >&3; head -c 500 <&3")
case "$out" in *" 431 "*"request:3:1: the header block is too long"*) true ;; *) echo "# $out"; false ;; esac; ok $? "an oversized header gets 431 and is told which line"
out=$(printf 'GET / HTTP/1.1\r\nHost : x\r\n\r\n' | timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$www; cat >&3; head -c 300 <&3")
case "$out" in *" 400 "*) true ;; *) echo "# $out"; false ;; esac; ok $? "a blank before the colon gets 400"
curl -s -m 5 "http://127.0.0.1:$www/hello" | grep -q Hello; ok $? "and the site goes on"
printf '\022\064\001\000\000\001\000\000\000\000\000\000\003ww' | timeout 2 bash -c "exec 3<>/dev/udp/127.0.0.1/$dns; cat >&3; timeout 1 head -c 12 <&3 | od -An -tx1" > "$tmp/dns"
grep -q '12 34 8[0-9] .1' "$tmp/dns"; ok $? "a truncated DNS packet gets FORMERR"
sleep 1.2
out=$( (sleep 1) | timeout 5 "$build/xenkit" console -r dns)
case "$out" in *"FORMERR"*"question: a name that is cut off"*) true ;; *) echo "# $out"; false ;; esac; ok $? "and the console names the field"
out=$(dig +short +time=2 +tries=1 @127.0.0.1 -p "$dns" www.xenkit.test A); [ "$out" = 127.0.0.1 ]; ok $? "and DNS goes on"
$x down; ok $? "down"
echo "1..$n"
exit $bad
