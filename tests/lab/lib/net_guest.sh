#!/bin/sh
# SPDX-License-Identifier: MIT
# What a Linux guest does with its network: an address by DHCP, one by IPv6, echoes of several sizes; `serve N` offers 4 MiB, N times
# over, by TCP and prints their sum, `fetch ADDRESS` gets them and prints the sum of what came; `iperf` starts a server of
# iperf3, `iperf ADDRESS SECONDS` sends to it and has it send, so long each. udhcpc calls this script, too.
if [ -n "${interface:-}" ]; then
    # shellcheck disable=SC2154
    case "$1" in
        bound) ip addr add "$ip/$mask" dev "$interface"; echo "bound $ip from $serverid dns $dns"; echo "$serverid" > /tmp/server ;;
    esac
    exit 0
fi
mkdir -p /tmp
i=0
until [ -e /sys/class/net/eth0 ] || [ $i = 100 ]; do i=$((i + 1)); sleep 0.1; done
ip link set eth0 up
udhcpc -i eth0 -n -q -f -t 8 -T 2 -s "$PWD/net_guest.sh" 2> /dev/null
server=$(cat /tmp/server)
for size in 56 1400 9000 30000; do
    ping -c 3 -i 0.2 -W 3 -s $size "$server" | grep 'packets transmitted'
done
# IPv6, where a router advertises a prefix: its own address is the first there.
i=0
until own=$(ip -6 addr show dev eth0 scope global | sed -n 's/.*inet6 \(fd[0-9a-f:]*\).*/\1/p') && [ -n "$own" ] || [ $i = 40 ]; do
    i=$((i + 1)); sleep 0.1
done
if [ -n "$own" ]; then
    i=0
    while ip -6 addr show dev eth0 | grep -q tentative && [ $i -lt 40 ]; do i=$((i + 1)); sleep 0.1; done
    echo "six $own"
    for size in 56 1452 9000 30000; do
        ping -6 -c 3 -i 0.2 -W 3 -s $size "$(echo "$own" | cut -d: -f1)::1" | grep 'packets transmitted'
    done
fi
case "${1:-}" in
    serve)
        mkdir -p /www
        dd if=/dev/urandom of=/www/data bs=64k count=64 2> /dev/null
        all() { n=0; while [ $n -lt "$times" ]; do cat /www/data; n=$((n + 1)); done; } # no file: a guest has little memory
        times=$2
        (while :; do all | nc -l -p 80; done) > /dev/null 2>&1 < /dev/null &
        all | md5sum
        ;;
    fetch)
        start=$(cut -d' ' -f1 /proc/uptime)
        mkfifo /tmp/open # nc hangs up when its input ends
        exec 3<> /tmp/open
        nc "$2" 80 <&3 | md5sum
        echo "took $start $(cut -d' ' -f1 /proc/uptime)"
        ;;
    iperf)
        if [ $# = 1 ]; then iperf3 -s -D && echo listens
        else
            for way in "" "-R" "-u -b 5M -l 1400" "-u -b 5M -l 1400 -R"; do
                # shellcheck disable=SC2086
                timeout $(($3 + 20)) iperf3 -c "$2" -t "$3" -f m --connect-timeout 5000 $way > /tmp/iperf 2>&1
                echo "iperf3 $way: ended $?"
                grep -e receiver -e error /tmp/iperf
            done
            echo "bad frames $(cat /sys/class/net/eth0/statistics/*_errors | grep -cvx 0)"
        fi
        ;;
esac
dmesg | grep -i -e 'eth0.*hung' -e 'xen_netfront.*error' -e 'bad response' -e 'rx->offset' -e 'WARNING'
echo end
