#!/bin/sh
# SPDX-License-Identifier: MIT
# What stub_lab.lua runs in dom0. Times are hundredths of a second, from /proc/uptime. It waits by reading from a pipe
# into which nobody writes: a process started for each look would slow the guest, since there is but one processor.
#
#     stub_dom0.sh start NAME SECONDS COMMAND...   runs COMMAND, which creates NAME; waits for its line that begins
#                                                  with "first", prints create= and shown= and what it has written
#     stub_dom0.sh idle SECONDS                    Xen's free memory; all domains' times before and after SECONDS
# shellcheck disable=SC3045
verb=$1
shift

[ -p /tmp/nap ] || mkfifo /tmp/nap
exec 9<> /tmp/nap
nap() { read -r -t 0.05 _ <&9; }
now() { read -r up _ < /proc/uptime; now=${up%.*}${up#*.}; }

start() {
    name=$1 turns=$(($2 * 20)) log=/var/log/xen/console/guest-$1.log turn=0
    shift 2
    rm -f "$log"
    now; begin=$now
    "$@" > /tmp/said 2>&1 || { cat /tmp/said; exit 1; }
    now; created=$now
    until [ -s "$log" ] && grep -q '^first' "$log"; do
        nap
        turn=$((turn + 1))
        [ $turn -lt $turns ] || break
        [ $((turn % 50)) != 0 ] || xl domid "$name" > /dev/null 2>&1 || break
    done
    now; shown=$now
    grep -q '^first' "$log" || {
        tail -n 3 "$log"
        xl dmesg | tail -n 40 | sed -n '/Triple fault/,$p' | grep -q 'RIP:.*\[<ffff82d0' && echo "emulator=fault"
        exit 1
    }
    nap; nap; nap; nap # a stub domain says its clock's rate
    echo "create=$((created - begin)) shown=$((shown - begin))"
    tr -d '\r' < "$log"
}

processor_times() { LD_LIBRARY_PATH=/h/lib /h/xenkit list --on xen --json; echo; }

idle() {
    sleep 1
    echo "free=$(xl info | sed -n 's/^free_memory *: *//p')"
    processor_times
    sleep "$1"
    processor_times
    xl list
}

case $verb in
start) start "$@" ;;
idle) idle "$@" ;;
*) exit 2 ;;
esac
