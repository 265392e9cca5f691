# SPDX-License-Identifier: MIT
# Our store in place of xenstored, below stock xl, libxl, test-xenstore and Linux guests with kernel front ends: as a
# daemon in dom0, and as the stub domain that the stock init-xenstore-domain makes. XK_LONG=1: test-xenstore's 10000
# rounds.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
rounds=40 kills=2 updates=2
[ -z "${XK_LONG:-}" ] || { rounds=10000 kills=200 updates=3; }

as_daemon() {
    $lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/store.lua
    $lab run 'cd /h; export LD_LIBRARY_PATH=/h/lib
        ./xenkit run --on xen --restart store.lua socket=/var/run/xenstored/socket journal=/run/store > /tmp/store.log 2>&1 &'
}

as_stub() {
    "$build/xenkit" build scripts/services/store.lua -o "$tmp/store" > /dev/null
    $lab put "$tmp/store/store.img" "$tmp/store/xenkit-kernel"
    $lab run -t 30 'rm -f /var/run/xenstored/socket
        timeout 20 init-xenstore-domain --kernel /h/xenkit-kernel --ramdisk /h/store.img --memory 8 --name Xenstore &&
        cat /var/run/xen/xenstored.pid'
}

# How many lines `xl list` has of a domain that is to be gone; its pages take a moment.
gone='gone() {
    i=0
    while n=$(xl list | grep -c -e "$1" -e null); [ "$n" != 0 ] && [ $i -lt 25 ]; do i=$((i + 1)); sleep 0.2; done
    echo "$n"
}'

# guest HOME TYPE ADDRESS - the whole life of one
guest() {
    name=st-$2
    out=$($lab guest "$name" "--$2" --keep --memory 96 --file tests/lab/lib/store_guest.sh \
        --config "disk=['format=raw,vdev=xvda,access=w,script=block-lab,backendtype=phy,target=/tmp/disk.img']" \
        --config "vif=['mac=00:16:3e:00:00:2$3,bridge=xenbr0,script=vif-lab']" -- "sh /lab/store_guest.sh 10.0.2.2$3")
    has "$out" "net works" && has "$out" "$hash"; ok $? "$1: a $2 guest's netfront and blkfront"
    out=$($lab run -t 90 "$gone
        tick() { xenstore-read /local/domain/\$(xl domid $name)/data/tick; }
        serves() { a=\$(tick); sleep 1; b=\$(tick); [ \"\$b\" -gt \"\$a\" ] && echo \"\$1: served\"; }
        dd if=/tmp/disk.img bs=512 skip=2048 count=1 2> /dev/null | tr -d '\\000'
        xl list $name | tail -n 1
        serves before
        xl save $name /tmp/saved > /dev/null 2>&1; echo saved \$?
        xl list | grep -c $name
        xl restore /tmp/saved > /dev/null 2>&1; echo restored \$?
        rm -f /tmp/saved
        sleep 0.5
        serves after
        xl shutdown -w $name > /dev/null 2>&1; echo shut down \$?
        gone $name")
    out=$(printf '%s' "$out" | tr -cd '\11\12\40-\176')
    has "$out" "written by a guest" && has "$out" "before: served"; ok $? "$1: $2: its writes arrive on disk and in the store"
    has "$out" "saved 0
0
restored 0"; ok $? "$1: $2: xl save and restore"
    has "$out" "after: served"; ok $? "$1: $2: served after the restore"
    has "$out" "shut down 0
0"; ok $? "$1: $2: xl shutdown, and nothing of it is left"
}

# A stub domain of ours, and its console at xenconsoled.
hello() { # HOME
    "$build/xenkit" build tests/lab/lib/hello.lua -o "$tmp/hello" --as /h/hello --name st-hello -m 16 > "$tmp/built" 2>&1
    $lab put "$tmp/hello"
    out=$($lab run -t 60 "$gone"'
        rm -f /var/log/xen/console/guest-st-hello.log
        xl create -q /h/hello/st-hello.cfg > /dev/null 2>&1; i=0
        until xenstore-read "/local/domain/$(xl domid st-hello)/data/hello" 2> /dev/null || [ $i = 50 ]; do i=$((i + 1)); sleep 0.2; done
        sleep 0.3; cat /var/log/xen/console/guest-st-hello.log
        xl shutdown -w st-hello > /dev/null 2>&1; echo shut down $?; gone st-hello')
    has "$out" "I am st-hello" && has "$out" "shut down 0
0"; ok $? "$1: our store client in a stub domain"
    has "$out" "hello on the console"; ok $? "$1: and its console at upstream's xenconsoled"
}

home() { # NAME
    $lab down > /dev/null 2>&1
    $lab up --store none > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "$1: the lab comes up"; return; }
    "as_$1" > "$tmp/started" 2>&1
    $lab run '/lab/store mine'; ok $? "$1: xen-init-dom0 and xenconsoled start on it"
    [ "$1" != stub ] || { is "$(cat "$tmp/started")" "domid:1"; ok $? "stub: init-xenstore-domain made it"; }
    hash=$($lab run 'dd if=/dev/urandom of=/tmp/disk.img bs=64k count=32 2> /dev/null
        dd if=/tmp/disk.img bs=64k count=16 2> /dev/null | md5sum | cut -d" " -f1')
    case "$1${XK_LONG:-}" in stub) ;; *) guest "$1" pv 2 ;; esac # one kind each, but for the long run
    case "$1${XK_LONG:-}" in daemon) ;; *) guest "$1" pvh 1 ;; esac
    hello "$1"
    out=$($lab run -t 3600 "test-xenstore -i $rounds > /tmp/out 2>&1; echo rc \$?; cat /tmp/out")
    has "$out" "rc 0"; ok $? "$1: test-xenstore -i $rounds"
    $lab guest st-gone --keep --memory 96 -- true
    out=$($lab run "$gone"'
        xl destroy st-gone; echo destroyed $?; gone st-gone
        xenstore-ls -f /local/domain | grep -c st-gone; cat /tmp/store.log 2> /dev/null')
    has "$out" "destroyed 0
0
0"; ok $? "$1: xl destroy, and nothing of it is left"
    case "$1${XK_LONG:-}" in daemon) ;; *) policy "$1" ;; esac
}

# A policy is put in place, replaced and taken away while somebody watches; then our own command looks in.
policy() { # HOME
    $lab put "$build/xenkit"
    for bad in one two; do
        cat > "$tmp/$bad.lua" << P
return { permit_ops = { "WRITE" }, permit = function(domid, op, path) return path ~= "/pol/$bad", "EACCES" end }
P
    done
    $lab put "$tmp/one.lua" "$tmp/two.lua"
    out=$($lab run -t 60 'export LD_LIBRARY_PATH=/h/lib
        store() { /h/xenkit store "$@" --on xen; }
        try() { for k in one two; do xenstore-write /pol/$k 1 2> /dev/null; printf " $k $?"; done; echo; }
        xenstore-watch /pol/seen > /tmp/seen &
        watcher=$!
        printf before; try
        store policy /h/one.lua; printf first; try
        store policy /h/two.lua; printf second; try
        xenstore-write /pol/seen 1
        store policy --off; printf after; try
        sleep 0.3; kill $watcher; cat /tmp/seen
        store history --keep 50; xenstore-write /pol/one now; xenstore-write /pol/one then
        store undo /pol/one; echo undone $(xenstore-read /pol/one)
        store top -n 1 | head -n 3; store why 0 | head -n 3
        store history --keep 0; xenstore-rm /pol')
    has "$out" "before one 0 two 0" && has "$out" "first one 1 two 0" && has "$out" "second one 0 two 1" &&
        has "$out" "after one 0 two 0"; ok $? "$1: a policy is loaded, replaced and taken away while it runs"
    has "$out" "
/pol/seen
/pol/seen"; ok $? "$1: a watch of before fires after"
    has "$out" "undone now"; ok $? "$1: history and undo"
    printf '%s\n' "$out" | sed 's/^/# /'
}

# The daemon is killed at random moments, and handed over, below a guest and clients that notice everything. The keeper
# would give up a dozen in a row that were killed before they served anybody, so every fourth may come up first.
outlive() {
    "${CC:-cc}" -O2 -Iinclude -Isrc -o "$tmp/store_soak" tests/e2e/lib/store_soak.c src/store/wire.c -lpthread
    $lab put "$tmp/store_soak"
    $lab guest st-stays --keep --memory 96 --file tests/lab/lib/store_guest.sh -- "sh /lab/store_guest.sh 10.0.2.29" > /dev/null 2>&1
    out=$($lab run -t 600 "
        tick() { xenstore-read /local/domain/\$(xl domid st-stays)/data/tick; }
        served() { a=\$(tick); sleep 1; b=\$(tick); [ \"\$b\" -gt \"\$a\" ] && echo \"\$1: served\"; }
        killed() { grep -c restart /tmp/store.log; }
        LD_LIBRARY_PATH=/h/lib /h/store_soak /var/run/xenstored/socket 4 $((kills * 3 / 2 + 4)) crash > /tmp/soak 2>&1 &
        sleep 0.5; n=0
        while [ \$n -lt $kills ] && kill -0 \$! 2> /dev/null; do
            p=\$(pidof xenkit-domain) && kill -9 \$p && n=\$((n + 1))
            [ \$((n % 4)) != 0 ] || timeout 10 xenstore-control check > /dev/null 2>&1
            usleep \$(awk \"BEGIN { srand(\$n\$\$); print int(rand() * 1000000) }\")
        done
        wait; cat /tmp/soak; echo killed \$n restarts \$(killed); tail -n 3 /tmp/store.log
        served 'after kills'
        LD_LIBRARY_PATH=/h/lib /h/store_soak /var/run/xenstored/socket 4 $((updates * 2 + 2)) > /tmp/soak 2>&1 &
        sleep 1; for i in \$(seq $updates); do xenstore-control live-update /h/xenkit-domain; sleep 1; done
        wait; cat /tmp/soak; echo updates \$(grep -c ' update store: ' /tmp/store.log); grep update /tmp/store.log
        served 'after updates'
        xenstore-control check; xl destroy st-stays")
    has "$out" "killed $kills restarts" && has "$out" "after kills: served"; ok $? "daemon: $kills kills, and a guest is still served"
    [ "$(printf '%s\n' "$out" | grep -c 'wrong=0')" = 2 ]; ok $? "daemon: what was acknowledged was there, and no update lost anything"
    has "$out" "updates $updates" && has "$out" "after updates: served" && has "$out" "OK"
    ok $? "daemon: $updates live updates by xenstore-control"
    printf '%s\n' "$out" | sed 's/^/# /'
}

home daemon
outlive
home stub
[ "$tap_bad" = 0 ] || $lab run 'tail /tmp/store.log; xl list; tail -n 20 /var/log/xen/xl-*.log /var/log/xen/console/*Xenstore*'
finish
