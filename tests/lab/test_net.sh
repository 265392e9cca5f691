# SPDX-License-Identifier: MIT
# Networks on real Xen, in every placement: the front end Linux' (PV, PVH) or ours in a stub domain; the back end Linux', ours
# in dom0, or ours in a stub domain that serves others by `backend=`. Addresses by DHCP, echoes, files by TCP between two
# guests, also while our back end in dom0 is killed again and again.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
kills=2 size=1 # times 4 MiB
[ -z "${XK_LONG:-}" ] || { kills=10; size=32; }

printf '#!/bin/sh\n[ "$1" != online ] || PATH=/bin:/usr/bin xenstore-write "$XENBUS_PATH/hotplug-status" connected\n' \
    > "$tmp/vif-ours"
chmod +x "$tmp/vif-ours"
"$build/xenkit" build scripts/services/net.lua address=10.8.0.1/24 dhcp=10.8.0.100-10.8.0.150 prefix6=fd08::/64 -o "$tmp/netdrv" \
    --as /h/netdrv --name netdrv -m 32 > "$tmp/built" 2>&1
"$build/xenkit" build tests/e2e/lib/net_user.lua to=dhcp to6=ff02::1 -o "$tmp/user" --as /h/user --name user -m 32 >> "$tmp/built" 2>&1

"$build/xenkit" build tests/lab/lib/net_queues.lua -o "$tmp/queues" --as /h/queues --name queues -m 32 >> "$tmp/built" 2>&1

# The vif line for a back end.
line() { # BACK NUMBER
    case $1 in
        linux) echo "mac=00:16:3e:00:01:0$2,bridge=xenbr1,script=vif-lab" ;;
        dom0) echo "mac=00:16:3e:00:02:0$2,script=/h/vif-ours" ;;
        stub) echo "mac=00:16:3e:00:03:0$2,backend=netdrv" ;;
    esac
}

# From Linux' front end.
linux_front() { # BACK TYPE
    out=$($lab guest "n-$1-$2" "--$2" --memory 96 -t 60 --file tests/lab/lib/net_guest.sh --config "vif=['$(line "$1" 1)']" -- \
        "sh net_guest.sh")
    has "$out" "bound 10." && has "$out" "six fd0" && has "$out" "
end"; ok $? "Linux' netfront ($2) on $1: $(echo "$out" | grep -e bound -e six | tr '\n' ' ')"
    [ "$(echo "$out" | grep -c '3 packets transmitted, 3 packets received')" = 8 ] || { echo "# $out"; false; }
    ok $? "and echoes up to 30000 bytes, of IPv4 and IPv6, none lost"
}

# From ours, in a stub domain.
stub_front() { # BACK
    sed "s/^name = .*/name = \"s-$1\"/" "$tmp/user/user.cfg" > "$tmp/s-$1.cfg"
    echo "vif = ['$(line "$1" 5)']" >> "$tmp/s-$1.cfg"
    $lab put "$tmp/s-$1.cfg"
    out=$($lab run -t 60 "xl create -q /h/s-$1.cfg > /dev/null 2>&1; i=\$(xl domid s-$1); n=0
        until [ -n \"\$(xenstore-read /local/domain/\$i/data/round 2> /dev/null)\" ] || [ \$n = 100 ]; do n=\$((n + 1)); sleep 0.1; done
        n=0; until [ -n \"\$(xenstore-read /local/domain/\$i/data/six 2> /dev/null)\" ] || [ \$n = 100 ]; do n=\$((n + 1)); sleep 0.1; done
        for n in address pings wrong error six; do echo \"\$n=\$(xenstore-read /local/domain/\$i/data/\$n 2> /dev/null)\"; done
        [ $1 = linux ] || { cd /h; LD_LIBRARY_PATH=/h/lib ./xenkit capture --on xen s-$1 -c 40 -o /tmp/c.pcapng 2>&1; cd /; }
        xl shutdown -w s-$1 > /dev/null 2>&1; echo ended \$?
        n=0; while xl list | grep -q -e s-$1 -e null && [ \$n -lt 25 ]; do n=\$((n + 1)); sleep 0.2; done
        xl list | grep -c -e s-$1 -e null
        xenstore-ls -f /local/domain | grep -c \"vif/\$i\"")
    has "$out" "address=10." && has "$out" "wrong=0
error=
" && ! has "$out" "pings=
" > /dev/null && ! has "$out" "pings=0" > /dev/null; ok $? "our netfront in a stub domain on $1: $(echo "$out" | grep address=)"
    [ "$1" = linux ] || { has "$out" "40 frames" && $lab run 'base64 /tmp/c.pcapng' | base64 -d > "$tmp/c.pcapng" &&
        { ! command -v tcpdump > /dev/null || is "$(tcpdump -n -r "$tmp/c.pcapng" 2> /dev/null | grep -c '^[0-9]')" 40; }; ok $? "what goes over its network is captured"; }
    has "$out" "six=local 18 of 18"; ok $? "and echoes of IPv6 from the others there, none lost"
    has "$out" "ended 0
0
0"; ok $? "it ends, and nothing of it is left"
}

# A file from one Linux guest to another, at half a MiB a second at least; KILL: our back end is killed meanwhile.
file_between() { # BACK TYPE TYPE [KILL]
    out=$($lab guest n-serves "--$2" --keep --memory 128 -t 60 --file tests/lab/lib/net_guest.sh --config "vif=['$(line "$1" 2)']" -- \
        "sh net_guest.sh serve $size")
    address=$(echo "$out" | sed -n 's/^bound \([0-9.]*\) .*/\1/p') sum=$(echo "$out" | grep -e '-$')
    $lab guest n-gets "--$3" --memory 96 -t $((60 + size * 8)) --file tests/lab/lib/net_guest.sh --config "vif=['$(line "$1" 3)']" -- \
        "sh net_guest.sh fetch $address" > "$tmp/got" &
    getter=$!
    if [ -n "${4:-}" ]; then
        killed=$($lab run -t 80 "until xl list n-gets > /dev/null 2>&1; do sleep 0.2; done; sleep 4
            n=0; while [ \$n -lt $kills ] && xl list n-gets > /dev/null 2>&1; do p=\$(pidof xenkit-domain) && kill -9 \$p && n=\$((n + 1))
            usleep \$(awk \"BEGIN { srand(\$n\$\$); print int(500000 + rand() * 1000000) }\"); done; echo killed \$n")
    fi
    wait $getter
    [ -n "$sum" ] && has "$(cat "$tmp/got")" "$sum"
    ok $? "$((size * 4)) MiB from a $2 guest to a $3 guest over $1${4:+ while it is killed}: $(grep took "$tmp/got")"
    [ -z "${4:-}" ] || { has "$killed" "killed $kills"; ok $? "$killed"; }
    $lab run 'xl destroy n-serves'
}

$lab up > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "the lab comes up"; finish; }
echo "vif = ['$(line linux 6)']" >> "$tmp/queues/queues.cfg"
$lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/net.lua "$tmp/vif-ours" "$tmp/netdrv" "$tmp/user" "$tmp/queues"
long() { [ -z "${XK_LONG:-}" ] || "$@"; }

# Linux' back end, a bridge, and busybox' DHCP server.
$lab run 'brctl addbr xenbr1; brctl setfd xenbr1 0; ip link set xenbr1 up; ip addr add 10.7.0.1/24 dev xenbr1; ip addr add fd07::1/64 dev xenbr1
    printf "start 10.7.0.100\nend 10.7.0.120\ninterface xenbr1\nlease_file /tmp/leases\noption subnet 255.255.255.0\n" > /tmp/udhcpd.conf
    touch /tmp/leases; udhcpd -S /tmp/udhcpd.conf'
stub_front linux

# The control ring: Linux spreads what comes as our front end wants it, and says so itself.
out=$($lab run -t 60 'echo 4 > /sys/module/xen_netback/parameters/max_queues; mount -t debugfs none /sys/kernel/debug 2> /dev/null
    for n in 11 12 13 14 15 16 17 18; do ip addr add 10.7.0.$n/24 dev xenbr1; done
    xl create -q /h/queues/queues.cfg > /dev/null 2>&1; i=$(xl domid queues); n=0
    until xenstore-read /local/domain/$i/data/queues 2> /dev/null || [ $n = 150 ]; do n=$((n + 1)); sleep 0.2; done
    cat /sys/kernel/debug/xen-netback/vif$i.0/ctrl; xl destroy queues')
has "$out" "4 queues, hash in use, keep XK_ENOSYS 0, 32 right, 0 wrong, over 4"; ok $? "flows come over the queues that our netfront chose, from Linux"
has "$out" "TOEPLITZ" && has "$out" "6a 42 b7 3b be ac 01 fa" && has "$out" "0    1    2    3    3    2    1    0"; ok $? "as Linux has understood it"

$lab run 'xl create -q /h/netdrv/netdrv.cfg > /dev/null 2>&1; sleep 0.5; xl list' | grep -q netdrv
ok $? "a stub domain that serves networks"
linux_front stub pvh
long linux_front stub pv
stub_front stub
long file_between stub pvh pv

# dom0: Linux' back end out, ours in.
$lab run 'rmmod xen_netback; cd /h; LD_LIBRARY_PATH=/h/lib ./xenkit run --on xen --restart net.lua address=10.9.0.1/24 \
    dhcp=10.9.0.100-10.9.0.150 prefix6=fd09::/64 > /tmp/net.log 2>&1 & sleep 0.5'
long linux_front dom0 pvh
linux_front dom0 pv
long stub_front dom0
long file_between dom0 pvh pvh
file_between dom0 pvh pv kill
[ "$tap_bad" = 0 ] || $lab run 'cat /tmp/net.log; xl list; tail -n 20 /var/log/xen/xl-*.log /var/log/xen/console/*netdrv*'
finish
