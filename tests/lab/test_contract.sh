# SPDX-License-Identifier: MIT
# The conformance suite of the platform contract on real domains: this process is domain 0 on the xen platform, the other
# two are stub domains, or a Linux guest and a stub domain. Agents in them do what the suite asks (tests/guest/agent.c).
. tests/lab/lib/tap.sh

strip -o "$tmp/agent" "$build/guest/agent"
$lab put "$tmp/agent" "$build/xenkit-kernel.boot" "$build/tests/test_contract"

config() {
    printf 'name="%s"\ntype="pvh"\nkernel="/h/xenkit-kernel.boot"\nramdisk="/h/agent"\nmemory=24\nvcpus=1\n' "$1"
    printf 'tsc_mode="native"\non_crash="destroy"\non_reboot="destroy"\n'
}

# stub NAME - starts a stub agent, prints DOMID:REF:stub
stub() {
    config "$1" > "$tmp/$1.cfg"
    $lab run "rm -f /var/log/xen/console/guest-$1.log" > /dev/null 2>&1
    $lab create "$tmp/$1.cfg" > /dev/null 2>&1
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        line=$($lab run "sed -n 's/^agent \([0-9]*\) \([0-9]*\).*/\1:\2:stub/p' /var/log/xen/console/guest-$1.log" 2> /dev/null)
        [ -z "$line" ] || break
        sleep 0.3
    done
    echo "$line"
}

# suite WHAT AGENTS - runs it and counts its lines here
suite() {
    $lab run -t 300 "LD_LIBRARY_PATH=/h/lib XK_CONTRACT='$2' /h/test_contract 2>&1 | grep -v '^gnttab'" > "$tmp/out" 2>&1
    while read -r line; do
        case "$line" in
        "ok "*SKIP*) skip "$1: ${line#*- }" "not on Xen" ;;
        "ok "*) ok 0 "$1: ${line#*- }" ;;
        "not ok "*) ok 1 "$1: ${line#*- }" ;;
        "1.."*) ran=yes ;;
        *) echo "# $line" ;;
        esac
    done < "$tmp/out"
    is "$ran" yes; ok $? "$1: the suite came to its end"
    ran=no
}

one=$(stub contract-1)
two=$(stub contract-2)
suite "stub and stub" "$one $two"

two=$(stub contract-3)
linux=$($lab guest contract-linux --keep -t 60 --file "$build/guest/agent" -- \
    'agent > /tmp/agent.log 2>&1 & sleep 2; sed "s/^agent \([0-9]*\) \([0-9]*\).*/\1:\2:xen/" /tmp/agent.log' 2> /dev/null)
case "$linux" in *:*:xen) suite "Linux guest and stub" "$linux $two" ;; *) ok 1 "the agent in a Linux guest: $linux" ;; esac
$lab run 'for d in contract-1 contract-2 contract-3 contract-linux; do xl destroy $d; done' > /dev/null 2>&1
finish
