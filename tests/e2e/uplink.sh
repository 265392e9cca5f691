#!/bin/sh
# Ways out of a world's networks: a tap in a network of its own, where Linux' own stack is the judge of ours; libslirp.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 30 $build/xenkit"
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP $2"; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
is() { [ "$1" = "$2" ] || { echo "# '$1' is not '$2'"; false; }; }
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
data() { $x store read "/local/domain/$(domid "$1")/data/$2" 2> /dev/null; }
wait_for() { # NAME NODE
    i=0
    while [ $i -lt 300 ] && [ -z "$(data "$1" "$2")" ]; do i=$((i + 1)); sleep 0.05; done
    data "$1" "$2"
}
user=$PWD/tests/e2e/lib/uplink_user.lua

# What is wrong is said before anything runs.
wrong() { # UPLINK WHAT
    printf 'return { name = "w", domains = { { name = "net", service = "net", params = { uplink = "%s" } } } }\n' "$1" > "$tmp/w.lua"
    out=$($x up "$tmp/w.lua" -q 2>&1); [ $? != 0 ] && has "$out" "$2"
    ok $? "uplink=$1 is refused"
}
wrong "bus:1" "no way out of the kind 'bus'"
wrong "netns:here" "'here' is not written as 10.9.0.254/24"
wrong "netns:10.9.0.254/24,queues=9" "'queues=9': a tap has 1 to 8 queues"
wrong "slirp:speed=9" "slirp has no option 'speed'"
wrong "slirp:forward=udp:127.0.0.1:70000:10.0.2.15:7" "is not written as udp:127.0.0.1:5353:10.0.2.15:53"
wrong "slirp:net=10.0.2.0/99" "is not written as 10.0.2.0/24"

# --- libslirp -----------------------------------------------------------------------------------------------------------
port=$((20000 + $$ % 10000))
cat > "$tmp/demo.zone" << 'W'
demo.test. 60 SOA ns.demo.test. root.demo.test. 1 2 3 4 5
demo.test. 60 NS ns.demo.test.
demo.test. 60 A 192.0.2.1
demo.test. 90 AAAA 2001:db8::1
W
cat > "$tmp/s.lua" << W
return { name = "s", domains = {
  { name = "log", service = "log" },
  { name = "net", service = "net", restart = "always",
    params = { uplink = "slirp:host=yes,forward=udp:127.0.0.1:$port:10.0.2.15:7" } },
  { name = "dns", service = "dns", params = { zone = "$tmp/demo.zone", address = "127.0.0.1", port = $((port + 1)) } },
  { name = "a", script = "$user", params = { ask = "10.0.2.2", port = $((port + 1)) }, vifs = { lan = { back = "net" } } },
} }
W
out=$($x up -d -q "$tmp/s.lua" 2>&1); r=$?
case "$out" in
    *"built without libslirp"*) skip "libslirp" "it was built without it" ;;
    *)
        [ $r = 0 ] || echo "# $out"
        ok $r "a world with libslirp as its gateway comes up"
        is "$(wait_for a address)" 10.0.2.15; ok $? "its DHCP server gives an address"
        is "$(wait_for a answer)" "2001:db8::1 192.0.2.1 60"; ok $? "a name server of this host is asked by c-ares"
        is "$(wait_for a nobody)" XK_ENOENT; ok $? "a name that is not there"
        is "$(wait_for a short)" 2001:db8::1; ok $? "a short name, by the second server, as the first is not there"
        out=$(timeout 10 bash -c "exec 3<> /dev/udp/127.0.0.1/$port; for i in 1 2 3 4 5; do printf hello >&3
            timeout 1 head -c 5 <&3 && break; done"); is "$out" hello; ok $? "and what is forwarded comes in and back"
        is "$(data a from)" 10.0.2.2; ok $? "as if from the gateway"
        case "$(wait_for a six)" in fec0::216:*) true ;; *) echo "# $(data a six)"; false ;; esac
        ok $? "an IPv6 address of what it advertises: $(data a six)"
        gateway=$(pgrep -f "xenkit-uplink [0-9]+ slirp:*.*$port" | head -n 1)
        [ -n "$gateway" ] && grep -q 'Seccomp:.*2' "/proc/$gateway/status"; ok $? "the gateway is sealed in"
        kill -9 "$(domid net > /dev/null; $x list --json | tr '{' '\n' | grep '"name":"net"' | sed -n 's/.*"pid":\([0-9]*\).*/\1/p')"
        sleep 1
        out=$(timeout 10 bash -c "exec 3<> /dev/udp/127.0.0.1/$port; for i in 1 2 3 4 5 6 7 8; do printf again >&3
            timeout 1 head -c 5 <&3 && break; done"); is "$out" again; ok $? "the switch is killed, and its gateway is there still"
        $x down > /dev/null 2>&1
        i=0; while kill -0 "$gateway" 2> /dev/null && [ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done
        ! kill -0 "$gateway" 2> /dev/null; ok $? "it ends with its world"
        ;;
esac

# --- a network of its own -----------------------------------------------------------------------------------------------
cat > "$tmp/n.lua" << W
return { name = "n", domains = {
  { name = "log", service = "log" },
  { name = "net", service = "net", restart = "always", params = { address = "10.9.0.1/24", dhcp = "10.9.0.100-10.9.0.110",
      prefix6 = "fd09::/64", router6 = 1800, uplink = "netns:10.9.0.254/24,queues=4,10.9.0.1" } },
  { name = "plain", service = "net" },
  { name = "a", script = "$user", vifs = { lan = { back = "net", mac = "00:16:3e:00:00:0a", address = "10.9.0.10/24" } } },
} }
W
out=$($x up -d -q "$tmp/n.lua" 2>&1); r=$?
case "$out" in *"/dev/net/tun"* | *unshare* | *"user namespace"*)
    skip "a network of its own" "it cannot be made here: $(echo "$out" | tail -n 1)"
    echo "1..$n"; exit $bad ;;
esac
[ $r = 0 ] || echo "# $out"
ok $r "a world with a tap in a network of its own comes up"
inside() { $x netns net -- "$@" 2>&1; }
has "$(inside ip -d link show xk0)" "multi_queue numqueues 4 "; ok $? "it has the queues that it was to have"
wait_for a address > /dev/null
pings() { # WHAT ADDRESS SIZE...
    what=$1 to=$2; shift 2
    for size in "$@"; do
        out=$(inside ping -c 3 -i 0.2 -W 2 -s "$size" "$to"); has "$out" " 3 received" || return 1
    done
}
if command -v ping > /dev/null; then
    pings "IPv4" 10.9.0.10 0 56 1472 1473 9000 60000; ok $? "Linux' echoes are answered by a domain, in fragments, too"
    i=0 # Linux has made its address when it is sure of it
    while inside ip -6 addr show dev xk0 | grep -q tentative && [ $i -lt 60 ]; do i=$((i + 1)); sleep 0.1; done
    has "$(inside ip -6 addr show dev xk0)" "inet6 fd09::"; ok $? "Linux makes an address of our router's advertisement"
    has "$(inside ip -6 route)" "default via fe80::"; ok $? "and has a way by it"
    own=$(wait_for a six); is "$own" fd09::216:3eff:fe00:a; ok $? "so does a domain"
    pings "IPv6" fd09::1 0 56 1452 1453 9000 60000; ok $? "Linux' echoes of IPv6 are answered by the service"
    pings "IPv6" "$own" 0 56 1452 1453 9000 60000; ok $? "and by a domain"
    inside ip -6 neigh show to "$own" | grep -q "lladdr 00:16:3e:00:00:0a"; ok $? "which Linux found as its neighbour"
    out=$(inside ping -c 2 -i 0.2 -W 2 -I xk0 ff02::1); has "$out" "fe80::216:3eff:fe00:a"; ok $? "and hears when it asks all"
else
    skip "echoes" "there is no ping"
fi
for to in 10.9.0.10 fd09::216:3eff:fe00:a; do
    out=$(inside timeout 5 bash -c "exec 3<> /dev/udp/$to/7; printf hello >&3; timeout 2 head -c 5 <&3")
    is "$out" hello; ok $? "a datagram to $to comes back"
    out=$(inside timeout 5 bash -c "exec 3<> /dev/udp/$to/9; printf hello >&3; sleep 0.3; printf again >&3" 2>&1)
    has "$out" "Connection refused"; ok $? "where nobody listens that is said"
done
has "$(inside sh -c 'exit 7' ; echo $?)" 7; ok $? "exit codes are the program's"
out=$($x netns plain -- true 2>&1); [ $? = 1 ] && has "$out" "no uplink of the kind netns"; ok $? "a domain without one"
out=$($x netns nobody -- true 2>&1); [ $? = 1 ] && has "$out" "no domain 'nobody'"; ok $? "no domain"
out=$($x netns net -- nosuchprogram 2>&1); [ $? = 127 ] && has "$out" "there is no such program"; ok $? "no program"
holder=$(pgrep -f "xenkit-uplink [0-9]+ netns 10.9.0.254/24" | head -n 1)
$x down > /dev/null 2>&1
i=0; while kill -0 "$holder" 2> /dev/null && [ $i -lt 50 ]; do i=$((i + 1)); sleep 0.1; done
! kill -0 "$holder" 2> /dev/null; ok $? "the network goes with its world"

# A tap of the host's, on a bridge: the host is a network of this test's own, which takes root.
cat > "$tmp/b.lua" << W
return { name = "b", domains = {
  { name = "log", service = "log" },
  { name = "net", service = "net", params = { address = "10.9.0.1/24", uplink = "tap:xk7,br0" } },
} }
W
out=$(timeout 60 unshare -n sh -c "ip link add br0 type bridge && ip addr add 10.9.0.254/24 dev br0 && ip link set br0 up || exit 9
    $build/xenkit up -d -q $tmp/b.lua || exit 1; ip link show xk7; ping -c 3 -i 0.2 -W 2 10.9.0.1
    $build/xenkit down; ip link show xk7 2> /dev/null || echo gone" 2>&1)
case $? in
    0) has "$out" "master br0" && has "$out" " 3 received" && has "$out" gone; ok $? "a tap of the host's is a port of its bridge" ;;
    9 | 1) case "$out" in
        *"not permitted"* | *"No such file"*) skip "a tap on a bridge" "it cannot be made here: $(echo "$out" | tail -n 1)" ;;
        *) echo "# $out"; ok 1 "a tap of the host's is a port of its bridge" ;;
    esac ;;
    *) echo "# $out"; ok 1 "a tap of the host's is a port of its bridge" ;;
esac

# A tap that is there already, with several queues or with one.
cat > "$tmp/several.lua" << W
return { name = "q", domains = {
  { name = "one", service = "net", params = { address = "10.9.1.1/24", uplink = "tap:xk8" } },
  { name = "two", service = "net", params = { address = "10.9.2.1/24", uplink = "tap:xk9,queues=2" } },
} }
W
sed 's/tap:xk9/tap:xk10/' "$tmp/several.lua" > "$tmp/single.lua"
out=$(timeout 60 unshare -n sh -c "for t in '8 multi_queue' '9 multi_queue' 10; do ip tuntap add mode tap name xk\$t || exit 9; done
    ip addr add 10.9.1.254/24 dev xk8; ip addr add 10.9.2.254/24 dev xk9
    $build/xenkit up -d -q $tmp/several.lua || exit 1
    for i in 1 2; do ping -c 3 -i 0.2 -W 2 10.9.\$i.1; done; ip -d link show xk9
    $build/xenkit down; $build/xenkit up -d -q $tmp/single.lua && $build/xenkit down" 2>&1)
case $?$out in
    9*) skip "taps that are there already" "they cannot be made here: $(echo "$out" | tail -n 1)" ;;
    *"not permitted"*) skip "taps that are there already" "they take root" ;;
    *) [ "$(echo "$out" | grep -c ' 3 received')" = 2 ] && has "$out" "numqueues 2 "; ok $? "taps of several queues, made before, are used with one and two"
        has "$out" "the tap xk10 (it may have been made with one queue"; ok $? "one of a single queue has no second" ;;
esac

# Two of Linux' stacks, with two switches and a ring between them: large packets and blank checksums all the way.
cat > "$tmp/t.lua" << W
return { name = "t", domains = {
  { name = "near", service = "net", params = { uplink = "netns:10.9.0.1/24,queues=3" } },
  { name = "far", service = "net", params = { uplink = "netns:10.9.0.2/24", uplink_vif = "trunk" },
    vifs = { trunk = { back = "near", strict = false } } },
} }
W
$x up -d -q "$tmp/t.lua" > "$tmp/t.log" 2>&1; ok $? "two networks of their own come up, one behind the other"
mkdir "$tmp/www"
dd if=/dev/urandom of="$tmp/www/data.bin" bs=1M count=24 2> /dev/null
# The server is a world of its own, which sees another network.
XENKIT_RUNTIME_DIR=$tmp/rt2 "$build/xenkit" netns near -w "$tmp/rt/t" -- "$build/xenkit" run scripts/services/www.lua root="$tmp/www" \
    address=10.9.0.1 port=8080 > "$tmp/www.log" 2>&1 &
server=$!
i=0
until $x netns far -- curl -sf -m 20 -o "$tmp/got" http://10.9.0.1:8080/data.bin || [ $i = 40 ]; do i=$((i + 1)); sleep 0.25; done
cmp -s "$tmp/got" "$tmp/www/data.bin" || { cat "$tmp/www.log" "$tmp/t.log"; false; }
ok $? "a file of 24 MiB by TCP from one to the other"
rate=$($x netns far -- curl -sf -m 20 -o /dev/null -w '%{speed_download}' http://10.9.0.1:8080/data.bin)
frames=$($x netns far -- cat /proc/net/dev | sed -n 's/.*xk0: *[0-9]* *\([0-9]*\) .*/\1/p')
[ "${frames:-99999}" -lt 16000 ]; ok $? "in large packets, no frame of them cut: $frames for 48 MiB, at $rate bytes a second"
kill $server 2> /dev/null
wait $server 2> /dev/null
$x down > /dev/null 2>&1
echo "1..$n"
exit $bad
