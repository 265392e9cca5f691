# SPDX-License-Identifier: MIT
# Disks on real Xen, in every placement: the front end Linux' (PV, PVH) or ours in a stub domain; the back end Linux', ours in
# dom0, or ours in a stub domain that serves others by `backend=`. Under load that checks every byte, and while our back
# end in dom0 is killed again and again. Our front end asks for two rings of each disk, Linux' takes as many as it has
# processors.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
seconds=2 kills=3 lives=5
[ -z "${XK_LONG:-}" ] || { seconds=30; kills=20; lives=500; }

printf '#!/bin/sh\n[ "$1" != add ] || PATH=/bin:/usr/bin xenstore-write "$XENBUS_PATH/hotplug-status" connected\n' \
    > "$tmp/block-ours"
chmod +x "$tmp/block-ours"
"${CC:-cc}" -O2 -static -o "$tmp/disk_check" tests/lab/lib/disk_check.c
"$build/xenkit" build scripts/services/disk.lua queues=4 -o "$tmp/driver" --as /h/driver --name driver -m 32 > "$tmp/built" 2>&1
"$build/xenkit" build tests/e2e/lib/disk_user.lua queues=2 -o "$tmp/user" --as /h/user --name user -m 32 >> "$tmp/built" 2>&1

# The disk line for a back end.
line() {
    case $1 in
        linux) echo "format=raw,vdev=xvda,access=w,script=block-lab,backendtype=phy,target=/tmp/images/disk.img" ;;
        dom0) echo "format=raw,vdev=xvda,access=w,script=/h/block-ours,backendtype=phy,target=disk.img" ;;
        power) echo "format=raw,vdev=xvda,access=w,script=/h/block-ours,backendtype=phy,target=power:0:disk.img" ;;
        stub) echo "format=raw,vdev=xvda,access=w,backend=driver,backendtype=phy,target=memory:8M" ;;
    esac
}

# From Linux' front end.
linux_front() { # BACK TYPE PROCESSORS
    out=$($lab guest "d-$1-$2-$3" "--$2" --memory 128 -t 60 --file "$tmp/disk_check" --config "vcpus=$3" \
        --config "disk=['$(line "$1")']" -- "chmod +x disk_check; ./disk_check /dev/xvda $seconds 8
        echo rings=\$(ls /sys/block/xvda/mq | wc -l); dmesg | grep -e xvda -e 'I/O error'")
    has "$out" "wrong=0 errors=0" && has "$out" "rings=$3"
    ok $? "Linux' blkfront ($2, rings: $3) on $1: $(echo "$out" | grep reads=)"
    case "$out" in *"I/O error"*) echo "# $out"; false ;; esac; ok $? "and no error in the guest's log"
}

# From ours, in a stub domain.
stub_front() { # BACK
    sed "s/^name = .*/name = \"s-$1\"/" "$tmp/user/user.cfg" > "$tmp/s-$1.cfg"
    echo "disk = ['$(line "$1")']" >> "$tmp/s-$1.cfg"
    $lab put "$tmp/s-$1.cfg"
    out=$($lab run -t 60 "xl create -q /h/s-$1.cfg > /dev/null 2>&1; sleep $seconds; i=\$(xl domid s-$1)
        for n in connected round wrong error queues; do echo \"\$n=\$(xenstore-read /local/domain/\$i/data/\$n 2> /dev/null)\"; done
        xl shutdown -w s-$1 > /dev/null 2>&1; echo ended \$?
        n=0; while xl list | grep -q -e s-$1 -e null && [ \$n -lt 25 ]; do n=\$((n + 1)); sleep 0.2; done
        xl list | grep -c -e s-$1 -e null
        xenstore-ls -f /local/domain | grep -c \"vbd/\$i\"")
    has "$out" "connected=yes" && has "$out" "wrong=0
error=
queues=2" && ! has "$out" "round=
" > /dev/null; ok $? "our blkfront (rings: 2) in a stub domain on $1: $(echo "$out" | grep round=)"
    has "$out" "ended 0
0
0"; ok $? "it ends, and nothing of it is left"
}

# A database in a stub domain that loses its power, so to speak.
database() { # BACK
    "$build/xenkit" build tests/e2e/lib/disk_db.lua -o "$tmp/db" --as /h/db --name db -m 64 > "$tmp/built" 2>&1
    echo "disk = ['$(line "$1")']" >> "$tmp/db/db.cfg"
    $lab put "$tmp/db"
    out=$($lab run -t 90 "told=0; dd if=/dev/zero of=/tmp/images/disk.img bs=1M count=16 conv=notrunc 2> /dev/null
        for round in 1 2 3; do
            xl create -q /h/db/db.cfg > /dev/null 2>&1; i=\$(xl domid db); n=0
            until found=\$(xenstore-read /local/domain/\$i/data/found 2> /dev/null) || [ \$n = 50 ]; do n=\$((n + 1)); sleep 0.1; done
            echo \"check \$(xenstore-read /local/domain/\$i/data/check) kept \$((found >= told))\"
            sleep 1; told=\$(xenstore-read /local/domain/\$i/data/count); xl destroy db
        done; echo told \$told")
    [ "$(printf '%s\n' "$out" | grep -c 'check ok kept 1')" = 3 ]
    ok $? "a database of a stub domain on $1 has all that was told after it was destroyed: $(echo "$out" | grep told)"
}

# The same, on a disk that loses its power with its domain: what was not flushed is lost, but for a part in any order, torn.
# Each life of the database begins with its check and ends at a random moment, some before they have come so far; so that it
# does not grow too slow to be checked, it begins anew after 25 lives. The disk's service says how much was at stake.
cuts() { # LIVES
    sed "s|^disk = .*|disk = ['$(line power)']|" "$tmp/db/db.cfg" > "$tmp/power.cfg"
    $lab put "$tmp/power.cfg"
    left=$1 lives=0 told=0
    while [ "$left" -gt 0 ]; do
        some=$((left < 25 ? left : 25)) left=$((left - 25))
        out=$($lab run -t $((some * 20 + 60)) "told=0 n=\$\$
            some_of() { n=\$((n + 1)); awk \"BEGIN { srand(\$n); print int(rand() * \$1) }\"; }
            of() { xenstore-read /local/domain/\$i/data/\$1 2> /dev/null; }
            sleep 0.5; dd if=/dev/zero of=/tmp/images/disk.img bs=1M count=16 conv=notrunc 2> /dev/null
            for life in \$(seq $some); do
                if [ \$(some_of 3) = 0 ]; then
                    xl create -q /h/power.cfg > /dev/null 2>&1; usleep \$(some_of 600000); xl destroy db
                fi
                xl create -q /h/power.cfg > /dev/null 2>&1; i=\$(xl domid db); t=0
                until found=\$(of found) || [ \$t = 100 ]; do t=\$((t + 1)); usleep 50000; done
                [ \"\${found:--1}\" -ge \$told ] && [ \"\$(of check)\" = ok ] && echo good || echo \"found '\$found' of \$told: \$(of check)\"
                usleep \$(some_of \$((\$(some_of 2000) * 1000)))
                count=\$(of count); told=\${count:-\$told}; xl destroy db
            done; echo told \$told")
        good=$(printf '%s\n' "$out" | grep -c '^good$') more=$(printf '%s\n' "$out" | sed -n 's/^told //p')
        lives=$((lives + good)) told=$((told + ${more:-0}))
        [ "$good" = "$some" ] || { printf '%s\n' "$out" | grep -v '^good$' | sed 's/^/# /'; break; }
    done
    $lab run 'xl destroy db > /dev/null 2>&1' # if it was not ended in time: others need its disk
    [ "$lives" = "$1" ] && [ "$told" -gt "$1" ]; ok $? "a database of a stub domain loses its power $1 times, and nothing that was told: $told rows"
    out=$($lab run 'grep "loses its power with" /tmp/disk.log')
    lost=$(echo "$out" | grep -c 'with [1-9]')
    [ "$(echo "$out" | wc -l)" -ge "$1" ] && { [ "$1" -lt 100 ] || [ "$lost" -gt $(($1 / 50)) ]; }
    ok $? "$lost times it had not flushed all"
}

$lab up > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "the lab comes up"; finish; }
$lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/disk.lua "$tmp/block-ours" "$tmp/driver" "$tmp/user"
$lab run 'mkdir -p /tmp/images; dd if=/dev/zero of=/tmp/images/disk.img bs=1M count=16 2> /dev/null'
$lab run 'echo 2 > /sys/module/xen_blkback/parameters/max_queues' # as many as dom0 has processors otherwise
long() { [ -z "${XK_LONG:-}" ] || "$@"; }
stub_front linux
database linux

$lab run 'xl create -q /h/driver/driver.cfg > /dev/null 2>&1; sleep 0.5; xl list' | grep -q driver
ok $? "a stub domain that serves disks"
linux_front stub pvh 1
long linux_front stub pvh 2
long linux_front stub pv 1
long stub_front stub

# dom0: Linux' back end out, ours in.
$lab run 'rmmod xen_blkback; cd /h; LD_LIBRARY_PATH=/h/lib ./xenkit run --on xen --restart disk.lua images=/tmp/images queues=4 \
    > /tmp/disk.log 2>&1 & sleep 0.5'
long linux_front dom0 pvh 2 # the last ones are on dom0 and PV, too
long linux_front dom0 pv 1
long stub_front dom0
cuts $lives

# Killed at random moments, while the guest checks, with many small requests: so that many answers are given.
longer=$((kills * 2 + 4))
$lab guest d-killed --pv --memory 128 -t $((longer + 60)) --file "$tmp/disk_check" --config "disk=['$(line dom0)']" \
    --config "vcpus=2" -- "chmod +x disk_check; ./disk_check /dev/xvda $longer 8 16
    echo rings=\$(ls /sys/block/xvda/mq | wc -l); dmesg | grep 'I/O error'" > "$tmp/killed" &
guest=$!
out=$($lab run -t $((longer + 50)) "until xl list d-killed > /dev/null 2>&1; do sleep 0.2; done; sleep 4
    n=0; while [ \$n -lt $kills ]; do p=\$(pidof xenkit-domain) && kill -9 \$p && n=\$((n + 1))
    usleep \$(awk \"BEGIN { srand(\$n\$\$); print int(500000 + rand() * 1000000) }\"); done
    echo killed \$n; xl list d-killed > /dev/null 2>&1 && echo it goes on")
wait $guest
has "$(cat "$tmp/killed")" "wrong=0 errors=0" && has "$(cat "$tmp/killed")" rings=2 &&
    ! grep -q 'I/O error' "$tmp/killed"
ok $? "a Linux guest (pv, rings: 2) sees no wrong byte and no error: $(grep reads= "$tmp/killed")"
has "$out" "killed $kills
it goes on"; ok $? "while our back end in dom0 is killed $kills times"
[ "$($lab run 'grep -c restart /tmp/disk.log')" -ge "$kills" ]; ok $? "and started again each time"
finish
