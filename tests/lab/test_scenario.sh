# SPDX-License-Identifier: MIT
# Scenario 1 as a whole, in one world: the store is our stub domain, made by the stock init-xenstore-domain, the console
# another one; a stub domain that serves disks and one that serves networks; a Linux guest and a Lua stub domain use them under
# load, while the latter's disk and network are moved between dom0 and the stub domains and back.
. tests/lab/lib/tap.sh
export XK_LAB_CACHE="${XK_LAB_CACHE:-${XK_LAB_DIR:-$build/lab}/cache}" XK_LAB_QUIET=1
XK_LAB_DIR=$tmp/lab
export XK_LAB_DIR
trap '$lab down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
seconds=12
[ -z "${XK_LONG:-}" ] || seconds=60
step() { $lab run -t 60 "sh /h/console_dom0.sh $*"; }
make() { # SCRIPT NAME MiB WORDS... - a stub domain's image and its file for xl
    script=$1 name=$2 memory=$3; shift 3
    "$build/xenkit" build "$script" "$@" -o "$tmp/$name" --as "/h/$name" --name "$name" -m "$memory" > "$tmp/built" 2>&1 ||
        { cat "$tmp/built"; ok 1 "$name is built"; }
}

for kind in block vif; do
    printf '#!/bin/sh\ncase "$1" in add | online) PATH=/bin:/usr/bin xenstore-write "$XENBUS_PATH/hotplug-status" connected ;; esac\n' \
        > "$tmp/$kind-ours"
    chmod +x "$tmp/$kind-ours"
done
"${CC:-cc}" -O2 -static -o "$tmp/disk_check" tests/lab/lib/disk_check.c
"$build/xenkit" build scripts/services/store.lua -o "$tmp/store" > "$tmp/built" 2>&1
make scripts/services/console.lua console 32
make scripts/services/disk.lua diskdrv 48
make scripts/services/net.lua netdrv 32 address=10.9.0.1/24 dhcp=10.9.0.100-10.9.0.150
make tests/lab/lib/scenario_user.lua user 32
echo "disk = ['format=raw,vdev=xvdb,access=w,script=/h/block-ours,backendtype=phy,target=shared.img']" >> "$tmp/diskdrv/diskdrv.cfg"
cat >> "$tmp/user/user.cfg" << 'C'
disk = ['format=raw,vdev=xvda,access=w,script=/h/block-ours,backendtype=phy,target=shared.img']
vif = ['mac=00:16:3e:00:05:01,script=/h/vif-ours']
C
$lab up --store none > "$tmp/err" 2>&1 || { cat "$tmp/err"; ok 1 "the lab comes up"; finish; }
$lab put "$tmp/store/store.img" "$tmp/store/xenkit-kernel" "$tmp/console" "$tmp/diskdrv" "$tmp/netdrv" "$tmp/user" \
    "$tmp/block-ours" "$tmp/vif-ours" "$build/xenkit" "$build/xenkit-domain" scripts/services/console.lua \
    scripts/services/disk.lua scripts/services/net.lua tests/lab/lib/console_dom0.sh
printf 'return {}\n' > "$tmp/policy.lua"
cp "$tmp/policy.lua" "$tmp/triggers.lua"
$lab put "$tmp/policy.lua" "$tmp/triggers.lua"

$lab run -t 30 'rm -f /var/run/xenstored/socket
    timeout 20 init-xenstore-domain --kernel /h/xenkit-kernel --ramdisk /h/store.img --memory 8 --name Xenstore' > "$tmp/out" 2>&1
$lab run '/lab/store mine'; ok $? "the store is our stub domain"
is "$(step start bridge=console)" up
$lab run 'xl create -q /h/console/console.cfg'
step until_true 15 xenstore-read /tool/xenconsoled/domid; ok $? "the console is another"

# dom0's own back ends, then the stub domains'.
$lab run 'rmmod xen_blkback xen_netback; mkdir -p /tmp/images; dd if=/dev/zero of=/tmp/images/shared.img bs=1M count=4 2> /dev/null
    cd /h; export LD_LIBRARY_PATH=/h/lib
    ./xenkit run --on xen --restart disk.lua images=/tmp/images > /tmp/disk.log 2>&1 &
    ./xenkit run --on xen --restart net.lua address=10.9.0.1/24 dhcp=10.9.0.100-10.9.0.150 > /tmp/net.log 2>&1 &
    sleep 1; xl create -q /h/diskdrv/diskdrv.cfg; xl create -q /h/netdrv/netdrv.cfg; sleep 0.5; xl list' > "$tmp/out" 2>&1
has "$(cat "$tmp/out")" diskdrv && has "$(cat "$tmp/out")" netdrv; ok $? "two stub domains serve disks and networks"

# A Linux guest on them, under load.
cat > "$tmp/load.sh" << 'C'
chmod +x disk_check net_guest.sh
sh net_guest.sh > net.out 2>&1
(ping -i 0.2 -s 1400 10.9.0.1 > ping.out 2>&1 & echo $! > ping.pid)
./disk_check /dev/xvda "$1" 4
kill -INT $(cat ping.pid); sleep 0.5
cat net.out; grep 'packets transmitted' ping.out
dmesg | grep -e 'I/O error' -e 'WARNING'
echo end
C
$lab guest linux --memory 128 -t $((seconds * 3 + 60)) --file "$tmp/load.sh" --file "$tmp/disk_check" --file tests/lab/lib/net_guest.sh \
    --config "disk=['format=raw,vdev=xvda,access=w,backend=diskdrv,backendtype=phy,target=memory:8M']" \
    --config "vif=['mac=00:16:3e:00:05:02,backend=netdrv']" -- "sh load.sh $seconds" > "$tmp/linux" 2>&1 &
guest=$!

# The Lua stub domain, whose devices are moved meanwhile.
cat > "$tmp/moves.sh" << 'C'
export LD_LIBRARY_PATH=/h/lib
xl create -q /h/user/user.cfg > /dev/null 2>&1
i=$(xl domid user)
data() { xenstore-read "/local/domain/$i/data/$1" 2> /dev/null || echo 0; }
goes_on() { # WHAT - disk and network both come further
    r=$(data round) p=$(data pongs) n=0
    until { [ "$(data round)" -gt $((r + 2)) ] && [ "$(data pongs)" -gt $((p + 2)) ]; } || [ $n = 150 ]; do n=$((n + 1)); sleep 0.1; done
    [ $n -lt 150 ] && echo "$1: goes on" && echo "at $(cut -d' ' -f1 /proc/uptime): lost $(data lost)"
}
move() { /h/xenkit move user "$@" --on xen && echo "moved $1 $3"; }
goes_on begun
until [ -n "$(xenstore-ls "/local/domain/$(xl domid linux 2> /dev/null)/device/vbd" 2> /dev/null | grep 'state = "4"')" ]; do sleep 0.2; done
/h/xenkit move linux xvda --back Domain-0 --on xen; echo "linux moved $?"
/h/xenkit move user xvdc --back Domain-0 --on xen; echo "nothing moved $?"
for round in 1 2; do
    move vif0 --back netdrv; goes_on "$round: vif at the stub domain"
    move xvda --back diskdrv --image vbd:xvdb; goes_on "$round: disk at the stub domain"
    move vif0 --back Domain-0; goes_on "$round: vif in dom0"
    move xvda --back Domain-0 --image shared.img; goes_on "$round: disk in dom0"
done
echo "wrong $(data wrong) error $(data error) lost $(data lost) rounds $(data round) pongs $(data pongs)"
xl shutdown -w user > /dev/null 2>&1; echo "ended $?"
n=0
while xl list | grep -q -e user -e null && [ $n -lt 25 ]; do n=$((n + 1)); sleep 0.2; done
xl list | grep -c -e user -e null
xenstore-ls -f /local/domain | grep -c -e "backend/vif/$i/" -e "backend/vbd/$i/" -e "domain/$i/device" # vbd/5 would be vbd/51712, too
C
$lab put "$tmp/moves.sh"
out=$($lab run -t 200 'sh /h/moves.sh' 2>&1)
echo "$out" | grep -e "^at " | sed "s/^/# /"
has "$out" "begun: goes on"; ok $? "a Lua stub domain has its disk and network from dom0"
for round in 1 2; do
    has "$out" "moved vif0 netdrv
$round: vif at the stub domain: goes on"; ok $? "round $round: its network moves to the stub domain"
    has "$out" "moved xvda diskdrv
$round: disk at the stub domain: goes on"; ok $? "its disk, too"
    has "$out" "moved vif0 Domain-0
$round: vif in dom0: goes on"; ok $? "and its network back to dom0"
    has "$out" "moved xvda Domain-0
$round: disk in dom0: goes on"; ok $? "and its disk"
done
has "$out" "wrong 0 error 0"; ok $? "without a wrong byte or an error: $(echo "$out" | grep wrong)"
has "$out" "cannot follow" && has "$out" "linux moved 1" && has "$out" "nothing moved 1"; ok $? "what cannot be moved is told"
has "$out" "ended 0
0
0"; ok $? "it ends, and nothing of it is left"
wait $guest
moves=$out
out=$(cat "$tmp/linux")
has "$out" "wrong=0 errors=0" && has "$out" "
end" && ! has "$out" "I/O error" > /dev/null; ok $? "the Linux guest saw no wrong byte and no error: $(echo "$out" | grep reads=)"
echoes=$(echo "$out" | grep 'packets transmitted' | tail -n 1)
has "$out" "bound 10.9.0." && [ "$(echo "$out" | grep -c '3 packets transmitted, 3 packets received')" = 4 ] &&
    echo "$echoes" | awk '{ exit !($1 > 20 && $1 - $4 <= 1) }' # the last one may be under way still
ok $? "and its echoes came back: $echoes"
has "$($lab run 'cat /var/log/xen/console/guest-linux.log')" BusyBox; ok $? "its console was served by the stub domain"
[ "$tap_bad" = 0 ] || { echo "$moves"; echo "$out"; $lab run 'tail -n 20 /tmp/disk.log /tmp/net.log /tmp/console-test/out; xl list; tail -n 20 /var/log/xen/console/guest-*drv.log /var/log/xen/xl-*.log'; }
finish
