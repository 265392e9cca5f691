# SPDX-License-Identifier: MIT
# Our back ends under the stock tools of Linux guests, which come in an archive of their own (`scripts/lab guest --tools`).
# Disks: ext4 is made, filled by fio, which verifies all it wrote, mounted anew, compared and found clean by fsck; on ours in
# dom0, also while that is killed again and again, and in a stub domain. Networks: iperf3 between two guests, both ways, who
# have their addresses from our DHCP server.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
disk=32 mib=6 rounds=1 kills=8 seconds=3
[ -z "${XK_LONG:-}" ] || { disk=64 mib=12 rounds=4 kills=25 seconds=15; }

$lab tools > "$tmp/err" 2>&1
case $? in
    0) ;;
    77) skip "our back ends under ext4, fio and iperf3" "$(tail -n 1 "$tmp/err")"; finish ;;
    *) cat "$tmp/err"; ok 1 "the guests' tools are made"; finish ;;
esac

for kind in block vif; do
    printf '#!/bin/sh\ncase "$1" in add | online) PATH=/bin:/usr/bin %s connected ;; esac\n' \
        'xenstore-write "$XENBUS_PATH/hotplug-status"' > "$tmp/$kind-ours"
    chmod +x "$tmp/$kind-ours"
done
"$build/xenkit" build scripts/services/disk.lua -o "$tmp/diskdrv" --as /h/diskdrv --name diskdrv -m $((disk + 32)) \
    > "$tmp/built" 2>&1
"$build/xenkit" build scripts/services/net.lua address=10.8.0.1/24 dhcp=10.8.0.100-10.8.0.150 -o "$tmp/netdrv" \
    --as /h/netdrv --name netdrv -m 32 >> "$tmp/built" 2>&1

# The lines of a guest's configuration for a back end.
disk_line() { # BACK IMAGE
    case $1 in
        dom0) echo "disk=['format=raw,vdev=xvda,access=w,script=/h/block-ours,backendtype=phy,target=$2']" ;;
        stub) echo "disk=['format=raw,vdev=xvda,access=w,backend=diskdrv,backendtype=phy,target=memory:${disk}M']" ;;
    esac
}
vif_line() { # BACK NUMBER
    case $1 in
        dom0) echo "vif=['mac=00:16:3e:00:06:0$2,script=/h/vif-ours']" ;;
        stub) echo "vif=['mac=00:16:3e:00:07:0$2,backend=netdrv']" ;;
    esac
}

# dom0's back end, in place of Linux'.
serve() { # MODULE SERVICE WORDS...
    module=$1 service=$2; shift 2
    $lab run "rmmod $module; cd /h
        LD_LIBRARY_PATH=/h/lib ./xenkit run --on xen --restart $service.lua $* > /tmp/$service.log 2>&1 &
        echo \$! > /tmp/$service.pid; sleep 0.5"
}
end_service() { # SERVICE
    out=$($lab run "kill \$(cat /tmp/$1.pid); n=0
        while pidof xenkit xenkit-domain && [ \$n -lt 25 ]; do n=\$((n + 1)); sleep 0.2; done > /tmp/left
        pidof xenkit xenkit-domain || echo all gone")
    is "$out" "all gone"; ok $? "the service in dom0 ends when it is told to"
}

# A stub domain as a back end.
stub() { # NAME WHAT
    $lab run "xl create -q /h/$1/$1.cfg > /dev/null 2>&1; sleep 0.5; xl list" | grep -q "$1"
    ok $? "a stub domain that serves $2"
}

# In dom0, with $i the guest's number, once the guest's script has begun.
beside() { # GUEST SECONDS COMMANDS
    $lab run -t $(($2 + 40)) "n=0
        until i=\$(xl domid $1 2> /dev/null) && xenstore-read /local/domain/\$i/data/begun > /dev/null 2>&1; do
            n=\$((n + 1)); [ \$n -lt 150 ] || exit 1; sleep 0.2
        done; $3"
}

# A guest with a file system: what it says. It goes on for at most SECONDS after its rounds, see fs_guest.sh.
file_system() { # BACK TYPE SECONDS [IMAGE]
    $lab guest "fs-$1-$2" "--$2" --tools --memory 160 -t $((rounds * mib + $3 * 2 + 90)) --file tests/lab/lib/fs_guest.sh \
        --config "$(disk_line "$1" "${4:-disk.img}")" -- "sh fs_guest.sh $rounds $mib $3"
}
sound() { # WHAT HOW
    has "$1" "wrong=0 errors=0" && has "$1" " files ("
    ok $? "ext4 $2: $(echo "$1" | grep rounds=)"
    echo "$1" | grep -E 'READ:|WRITE:' | sed 's/^ */# fio /'
}
ext4() { # BACK TYPE
    sound "$(file_system "$1" "$2" 0)" "on $1 ($2)"
}

# Our back end in dom0 is killed at random moments, and comes back.
ext4_killed() {
    file_system dom0 pv $((kills * 4 + 20)) > "$tmp/killed" &
    guest=$!
    out=$(beside fs-dom0-pv $((kills * 4)) "
        n=0; while [ \$n -lt $kills ]; do p=\$(pidof xenkit-domain) && kill -9 \$p && n=\$((n + 1))
        usleep \$(awk \"BEGIN { srand(\$n\$\$); print int(500000 + rand() * 1000000) }\"); done
        echo killed \$n; xl list fs-dom0-pv > /dev/null 2>&1 && echo it goes on
        xenstore-write /local/domain/\$i/data/enough 1")
    wait $guest
    has "$out" "killed $kills
it goes on"; ok $? "our back end in dom0 is killed $kills times"
    sound "$(cat "$tmp/killed")" "on dom0 (pv) meanwhile"
    [ "$($lab run 'grep -c restart /tmp/disk.log')" -ge "$kills" ]; ok $? "and it was started again each time"
}

# Three disks of one stub domain at once, with all the requests that their rings hold: each has 1056 pages mapped then.
three_disks() {
    lines=$(for d in a b c; do echo "'format=raw,vdev=xvd$d,access=w,backend=diskdrv,backendtype=phy,target=memory:16M',"; done)
    out=$($lab guest three --tools --memory 160 -t 90 --config "disk=[$lines]" -- 'for d in a b c; do
        fio --name=$d --filename=/dev/xvd$d --rw=write --bs=128k --size=15m --ioengine=libaio --direct=1 --iodepth=32 \
            --verify=crc32c --verify_fatal=1 > /tmp/$d 2>&1 & done; wait
        cat /tmp/? | grep -c "err= 0"; dmesg | grep -c "I/O error"')
    is "$out" "3
0"; ok $? "three disks of a stub domain under full load"
}

# That these checks see what is wrong: a disk that fails now and then, and one whose bytes change.
ext4_harmed() {
    out=$(file_system dom0 pvh 0 fault:200:disk.img)
    has "$out" wrong= && ! has "$out" "wrong=0 errors=0" > /dev/null
    ok $? "errors of a disk are seen: $(echo "$out" | grep rounds=)"
    file_system dom0 pvh 20 > "$tmp/harmed" &
    guest=$!
    beside fs-dom0-pvh 60 "n=0; while [ \$n -lt 200 ] && xl list fs-dom0-pvh > /dev/null 2>&1; do n=\$((n + 1))
        dd if=/dev/urandom of=/tmp/images/disk.img bs=4k seek=\$((($disk * 128 + n * 37) % ($disk * 256))) count=1 \
            conv=notrunc 2> /dev/null
        usleep 100000; done"
    wait $guest
    has "$(cat "$tmp/harmed")" "wrong=1"; ok $? "wrong bytes are seen: $(grep rounds= "$tmp/harmed")"
    grep verify: "$tmp/harmed" | head -n 2 | sed 's/^/# fio /'
}

# Two guests: one listens, the other talks.
iperf() { # BACK TYPE TYPE
    address=$($lab guest n-listens "--$2" --keep --tools --memory 160 -t 60 --file tests/lab/lib/net_guest.sh \
        --config "$(vif_line "$1" 1)" -- "sh net_guest.sh iperf" | sed -n 's/^bound \([0-9.]*\) .*/\1/p')
    out=$($lab guest n-talks "--$3" --tools --memory 160 -t $((seconds * 4 + 120)) --file tests/lab/lib/net_guest.sh \
        --config "$(vif_line "$1" 2)" -- "sh net_guest.sh iperf ${address:-none} $seconds")
    $lab run 'xl destroy n-listens'
    [ -n "$address" ] && has "$out" "bound 10." && has "$out" "
end"; ok $? "two guests ($2, $3) on $1 have addresses: $address, $(echo "$out" | grep bound)"
    # The kilobytes that were received; UDP sends 600 a second. How many there are in a second is for bench/run lab to say.
    echo "$out" | awk -v least="$((seconds * 50))" '
        /^iperf3 .*: ended 0$/ { ended++ }
        / [KM]Bytes .* receiver/ { for (i = 2; i <= NF; i++) {
            if ($i == "KBytes") n = $(i - 1); else if ($i == "MBytes") n = $(i - 1) * 1024; else continue
            if (n > least) flows++ } }
        END { exit !(ended == 4 && flows == 4) }' && has "$out" "bad frames 0"
    ok $? "iperf3 by TCP and by UDP, both ways"
    echo "$out" | grep -e '^iperf3' -e receiver -e error | sed 's/^/# /'
}

$lab up > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "the lab comes up"; finish; }
$lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/disk.lua scripts/services/net.lua "$tmp/block-ours" \
    "$tmp/vif-ours" "$tmp/diskdrv" "$tmp/netdrv"
$lab run "mkdir -p /tmp/images; dd if=/dev/zero of=/tmp/images/disk.img bs=1M count=$disk 2> /dev/null"
long() { [ -z "${XK_LONG:-}" ] || "$@"; }

stub diskdrv disks
ext4 stub pvh
long ext4 stub pv
long three_disks
$lab run 'xl destroy diskdrv' # others need its memory
serve xen_blkback disk images=/tmp/images
long ext4 dom0 pvh
long ext4 dom0 pv
ext4_killed
long ext4_harmed
end_service disk

serve xen_netback net address=10.9.0.1/24 dhcp=10.9.0.100-10.9.0.150
iperf dom0 pvh pv
end_service net
long stub netdrv networks
long iperf stub pvh pvh
[ "$tap_bad" = 0 ] || $lab run 'tail -n 30 /tmp/disk.log /tmp/net.log; xl list; tail -n 20 /var/log/xen/xl-*.log'
finish
