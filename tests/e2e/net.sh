#!/bin/sh
# Networks in a hosted world: domains that meet at a switch, get addresses, and are moved to another one.
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
is() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; false; }; }
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
data() { $x store read "/local/domain/$(domid "$1")/data/$2" 2> /dev/null; }
wait_for() { # NAME NODE
    i=0
    while [ $i -lt 200 ] && [ -z "$(data "$1" "$2")" ]; do i=$((i + 1)); sleep 0.05; done
    data "$1" "$2"
}
# Waits until (count) more rounds are over, the last of them without a loss.
rounds() { # NAME COUNT
    from=$(data "$1" round) i=0
    from=${from:-0}
    while [ $i -lt 200 ]; do
        now=$(data "$1" round) row=$(data "$1" row)
        [ "${now:-0}" -ge $((from + $2)) ] && [ "$row" = 0 ] && return 0
        i=$((i + 1)); sleep 0.05
    done
    echo "# $1 stands at ${now:-0}, was at $from, lost ${row:-?} in a row"; false
}

user=$PWD/tests/e2e/lib/net_user.lua
cat > "$tmp/n.lua" << W
return { name = "n", domains = {
  { name = "log", service = "log" },
  { name = "net", service = "net", restart = "always",
    params = { address = "10.9.0.1/24", dhcp = "10.9.0.100-10.9.0.110", router = "10.9.0.1", dns = "10.9.0.1",
      prefix6 = "fd09::/64", queues = 4, keep = 100 } },
  { name = "net2", service = "net", restart = "always",
    params = { address = "10.9.0.1/24", dhcp = "10.9.0.100-10.9.0.110" } },
  { name = "a", script = "$user", vifs = { lan = { back = "net", address = "10.9.0.10/24" } }, restart = "never" },
  { name = "b", script = "$user", params = { to = "10.9.0.10" }, vifs = { lan = { back = "net" } }, restart = "never" },
  { name = "c", script = "$user", params = { to = "10.9.0.1", to6 = "fd09::1" }, restart = "never",
    vifs = { lan = { back = "net", mac = "00:16:3E:00:00:0C" } } },
  { name = "far", script = "$user", params = { to = "10.9.0.10" }, restart = "never",
    vifs = { lan = { back = "net", vlan = 7, address = "10.9.0.77/24" } } },
  { name = "q", script = "$user", params = { to = "10.9.0.10" }, restart = "never",
    vifs = { lan = { back = "net", queues = 4, keep = true, hash = { map = { 2, 2, 2 } } } } },
} }
W
$x up -d -q "$tmp/n.lua" > "$tmp/up.log" 2>&1
ok $? "a world with networks comes up"
is "$(wait_for a address)" 10.9.0.10; ok $? "an address of its description"
out=$(wait_for b address)
case "$out" in 10.9.0.10? | 10.9.0.110) true ;; *) echo "# $out"; false ;; esac; ok $? "an address by DHCP"
is "$(wait_for c mac)" 00:16:3e:00:00:0c; ok $? "an Ethernet address of its description"
rounds b 3; ok $? "echoes and datagrams of all sizes go to another domain and come back"
is "$(data b wrong) $(data b lost)" "0 0"; ok $? "and none was lost or wrong"
[ -n "$(wait_for c ping)" ]; ok $? "the service itself answers echoes"
lost=$(data far lost)
[ -z "$(data far ping)" ] && [ "${lost:-1}" -gt 0 ]; ok $? "who is in another VLAN hears nothing"
is "$(wait_for c six)" "fd09::216:3eff:fe00:c 18 of 18"; ok $? "an IPv6 address by a router's advertisement, and its echoes"
rounds q 2; ok $? "a network of four queues, with pages that stay mapped, carries all of that"
out=$(data q queues)
has "$out" "; hash in use; keep in use 400" && # of four queues the third: 95 of 100 at least
    echo "${out%%;*}" | awk '{ exit !(NF == 4 && $3 > 0 && $3 * 20 > ($1 + $2 + $3 + $4) * 19) }' || { echo "# $out"; false; }
ok $? "and what comes for it comes over the queue that it chose, but for a few frames before it could say so"
is "$(data b queues | cut -d';' -f2-)" " hash XK_ENOSYS; keep XK_ENOSYS 0"; ok $? "who asked for nothing has none of it"
leases="/local/domain/$(domid net)/data/leases"
i=0
while [ $i -lt 120 ] && ! $x store ls "$leases" 2> /dev/null | grep -q 00:16:3e:00:00:0c; do i=$((i + 1)); sleep 0.05; done
$x store ls "$leases" | grep -q 00:16:3e:00:00:0c; ok $? "the store says who has which address"

# What goes over a network, judged by tcpdump.
if command -v tcpdump > /dev/null; then no=''; else no=' # SKIP there is no tcpdump'; fi
frames() { tcpdump -n -r "$1" 2> "$tmp/tcpdump" | grep -c '^[0-9]'; }
out=$($x capture b -o "$tmp/b.pcapng" -c 40 2>&1); has "$out" "40 frames" &&
    { [ -n "$no" ] || { is "$(frames "$tmp/b.pcapng")" 40 && tcpdump -n -r "$tmp/b.pcapng" 2> /dev/null | grep -q '10.9.0.10'; }; }
ok $? "what a domain sends and gets is captured$no"
$x capture a lan -t 1 -s 20 > "$tmp/a.pcapng" 2> /dev/null && { [ -n "$no" ] || [ "$(frames "$tmp/a.pcapng")" -gt 10 ]; }
ok $? "for a second, the heads of frames alone$no"
timeout -s INT 1 "$build/xenkit" capture b -o "$tmp/c.pcapng" 2> /dev/null
[ -n "$no" ] || { [ "$(frames "$tmp/c.pcapng")" -gt 10 ] && ! grep -q truncated "$tmp/tcpdump"; }
ok $? "until Ctrl-C, and the file is whole$no"
i=0
while [ $i -lt 20 ]; do $x capture a | head -c 1000 > /dev/null; i=$((i + 1)); done
rounds b 1; ok $? "readers that end early harm nothing"
out=$($x capture a wan -c 1 2>&1 > /dev/null); [ $? = 1 ] && has "$out" "no network 'wan'"; ok $? "a network that is not"
out=$($x capture log -c 1 2>&1 > /dev/null); [ $? = 1 ] && has "$out" "log has no network"; ok $? "a domain without one"
$x capture b > "$tmp/k.pcapng" 2> "$tmp/k.err" &
reader=$!
i=0
while [ $i -lt 100 ] && [ ! -s "$tmp/k.pcapng" ]; do i=$((i + 1)); sleep 0.05; done

for _ in 1 2 3; do
    kill -9 "$(pid net)"
    i=0
    while [ $i -lt 100 ] && [ -z "$(pid net)" ]; do i=$((i + 1)); sleep 0.02; done
    sleep 0.3
done
rounds b 3; ok $? "the switch is killed three times, and all go on"
wait $reader; [ -n "$no" ] || { [ "$(frames "$tmp/k.pcapng")" -gt 0 ] && ! grep -q truncated "$tmp/tcpdump"; }
ok $? "who captured there is told, and has what there was$no"
is "$(data b wrong)" 0; ok $? "and nothing wrong came"

out=$($x move b lan --back net2 2>&1); ok $? "a network is moved to another switch"
has "$($x store read "/local/domain/$(domid b)/device/vif/0/backend-id")" "$(domid net2)"; ok $? "as the store says"
i=0
while [ $i -lt 100 ] && [ "$(data b row)" = 0 ]; do i=$((i + 1)); sleep 0.05; done
[ "$(data b row)" != 0 ]; ok $? "where nobody else is"
out=$($x move a vif0 --back net2 2>&1); ok $? "the other one follows"
rounds b 3; ok $? "and they meet again"
out=$($x move a nothing --back net 2>&1); [ $? = 1 ] && has "$out" "no disk or vif 'nothing'"; ok $? "a device that it has not"
back="/local/domain/$(domid net2)/backend/vif/$(domid b)/0/state"
$x store read "$back" > /dev/null 2>&1 && $x shutdown b > /dev/null 2>&1; ok $? "one ends"
i=0
while [ $i -lt 40 ] && $x store read "$back" > /dev/null 2>&1; do i=$((i + 1)); sleep 0.05; done
[ $i -lt 40 ]; ok $? "and its network is gone"
$x down > /dev/null 2>&1

# A service keeps 2048 pages mapped at most; this one offers all of them to whoever comes first.
cat > "$tmp/k.lua" << W
return { name = "k", domains = {
  { name = "net", service = "net", params = { address = "10.9.0.1/24", queues = 4, keep = 512 } },
  { name = "one", script = "$user", params = { to = "10.9.0.1" },
    vifs = { lan = { back = "net", address = "10.9.0.11/24", keep = true } } },
  { name = "two", script = "$user", params = { to = "10.9.0.1" },
    vifs = { lan = { back = "net", address = "10.9.0.12/24", keep = true } } },
} }
W
$x up -d -q "$tmp/k.lua" > "$tmp/up.log" 2>&1
out=$(for who in one two; do wait_for $who queues | sed 's/.*; keep //'; done | sort)
is "$out" "XK_ENOSYS 0
in use 512"; ok $? "what a service keeps mapped is bounded: one of two has it, the other is served by copies"
[ "$(data one pings)" -gt 0 ] && [ "$(data two pings)" -gt 0 ]; ok $? "and both are answered"
$x down > /dev/null 2>&1

$x up -d -q examples/net.lua && is "$(wait_for visitor answer)" "hello, visitor"; ok $? "the README's network"
$x down > /dev/null 2>&1

wrong() { # LINE WHAT
    printf 'return { domains = {\n{ name = "x", service = "log",\n%s } } }\n' "$1" > "$tmp/w.lua"
    out=$($x up "$tmp/w.lua" 2>&1); has "$out" "w.lua:3: " && has "$out" "$2" || wrongs=1
}
wrongs=0
wrong 'vifs = { a = {} }' "needs a back"
wrong 'vifs = { a = { back = "x", speed = 1 } }' "unknown key 'speed'"
wrong 'vifs = { a = { back = "x", mac = "01:16:3e:00:00:01" } }' "not an Ethernet address"
wrong 'vifs = { a = { back = "x", vlan = 5000 } }' "1 to 4094"
wrong 'vifs = { a = { back = "x", address = "10.0.0.300/24" } }' "10.0.0.1/24"
wrong 'vifs = { a = { back = "x", gateway = "here" } }' "no IPv4 address"
wrong 'vifs = { a = { back = "x", mac = "00:16:3e:00:00:01" }, b = { back = "x", mac = "00:16:3e:00:00:01" } }' "two vifs"
is $wrongs 0; ok $? "networks that are described wrongly are told, with the line"
echo "1..$n"
exit $bad
