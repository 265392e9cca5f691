#!/bin/sh
# SPDX-License-Identifier: MIT
# A Linux guest's disk or network on a back end in the lab's dom0, measured: sh lab_load.sh up | down | disk WHOSE | net WHOSE.
# WHOSE: `linux`, the kernel's back end, `ours`, in dom0, or `stub`, ours in a stub domain. $lab is the command, $build what was
# built, $seconds for each workload. Prints a record a workload: rate=, of operations or bits a second, and cpu_ns=, dom0's and the
# stub domain's processor time for one of them (for 1000 bits), polls of this script included, which are the same for all.
set -u
tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT

case $1 in
    up)
        $lab up > "$tmp/err" 2>&1 && $lab tools > /dev/null 2>> "$tmp/err" || { cat "$tmp/err"; exit 1; }
        for kind in block vif; do
            printf '#!/bin/sh\ncase "$1" in add | online) PATH=/bin:/usr/bin %s connected ;; esac\n' \
                'xenstore-write "$XENBUS_PATH/hotplug-status"' > "$tmp/$kind-ours"
            chmod +x "$tmp/$kind-ours"
        done
        cat > "$tmp/measure.sh" << 'D'
# In dom0: sh measure.sh GUEST COUNT - processor time of who serves while the guest is in each of its phases, in seconds.
cpu() { LD_LIBRARY_PATH=/h/lib /h/xenkit list --on xen --json | tr '{' '\n' | grep -e '"name":"Domain-0"' -e '"name":"bench-back"' |
    sed 's/.*"cpu":\([0-9.e+-]*\).*/\1/' | awk '{ sum += $1 } END { printf "%.9f\n", sum }'; }
at() { n=0; until [ "$(xenstore-read "/local/domain/$i/data/phase" 2> /dev/null)" = "$1" ]; do
    n=$((n + 1)); [ $n -lt 1200 ] || exit 1; usleep 50000; done; }
n=0; until i=$(xl domid "$1" 2> /dev/null); do n=$((n + 1)); [ $n -lt 100 ] || exit 1; usleep 100000; done
k=0
while [ $k -lt "$2" ]; do k=$((k + 1)); at "b$k"; from=$(cpu); at "e$k"; echo "cpu$k $from $(cpu)"; done
D
        for service in disk net; do
            "$build/xenkit" build scripts/services/$service.lua -o "$tmp/stub-$service" --as /h/stub-$service --name bench-back \
                -m $([ $service = disk ] && echo 96 || echo 32) > "$tmp/err" 2>&1 || { cat "$tmp/err"; exit 1; }
            mv "$tmp/stub-$service/bench-back.cfg" "$tmp/stub-$service/domain.cfg"
        done
        $lab put "$build/xenkit" "$build/xenkit-domain" scripts/services/disk.lua scripts/services/net.lua "$tmp/block-ours" \
            "$tmp/vif-ours" "$tmp/measure.sh" "$tmp/stub-disk" "$tmp/stub-net"
        $lab run 'mkdir -p /tmp/images; dd if=/dev/zero of=/tmp/images/bench.img bs=1M count=48 2> /dev/null'
        exit
        ;;
    down) $lab down; exit ;;
esac

# Ours in dom0 in place of the kernel's, or the other way round, or a stub domain.
serve() { # MODULE SERVICE WHOSE WORDS...
    module=$1 service=$2 whose=$3; shift 3
    case $whose in
        ours)
            $lab run "rmmod $module 2> /dev/null; cd /h
                LD_LIBRARY_PATH=/h/lib ./xenkit run --on xen --restart $service.lua $* > /tmp/$service.log 2>&1 &
                echo \$! > /tmp/$service.pid; sleep 0.7"
            ;;
        stub) $lab run "xl create -q /h/stub-$service/domain.cfg > /dev/null 2>&1; sleep 0.7" ;;
        linux) $lab run "modprobe $module" ;;
    esac
}
stop() {
    case $2 in
        ours) $lab run "kill \$(cat /tmp/$1.pid); sleep 1" ;;
        stub) $lab run "xl destroy bench-back; sleep 0.5" ;;
    esac
}

# What the guest's phases gave, with dom0's time of each.
records() { # COUNT SCALE
    awk -v scale="$2" '/^rate[0-9]/ { rate[substr($1, 5)] = $2; took[substr($1, 5)] = $3 }
        /^cpu[0-9]/ { cpu[substr($1, 4)] = $3 - $2 }
        END { for (k = 1; k in rate; k++) printf "rate=%s cpu_ns=%.0f\n", rate[k], cpu[k] * 1e9 / (rate[k] * took[k]) * scale }' \
        "$tmp/guest" "$tmp/dom0"
    grep -q rate1 "$tmp/guest" || { cat "$tmp/guest" "$tmp/dom0"; exit 1; }
}

phases='phase() { xenstore-write data/phase "$1"; }'
case $1 in
    disk)
        cat > "$tmp/load.sh" << G
$phases
k=0
for work in "randread 4k 32" "randread 4k 1" "randwrite 4k 32" "read 64k 32"; do
    set -- \$work
    k=\$((k + 1))
    sleep 1; phase b\$k; sleep 0.3
    fio --name=x --filename=/dev/xvda --direct=1 --ioengine=libaio --rw=\$1 --bs=\$2 --iodepth=\$3 --time_based --runtime=$seconds \
        --norandommap --randrepeat=0 --minimal > /tmp/fio
    phase e\$k
    awk -F';' -v k=\$k '{ iops = \$8 + \$49; print "rate" k, iops, $seconds }' /tmp/fio
done
sleep 1
G
        line="format=raw,vdev=xvda,access=w,backendtype=phy"
        case $2 in
            linux) line="$line,script=block-lab,target=/tmp/images/bench.img" ;;
            ours) line="$line,script=/h/block-ours,target=bench.img" ;;
            stub) line="$line,backend=bench-back,target=memory:48M" ;;
        esac
        serve xen_blkback disk "$2" images=/tmp/images
        $lab guest "b-disk" --pvh --tools --memory 128 -t 180 --file "$tmp/load.sh" --config "disk=['$line']" -- \
            'sh load.sh' > "$tmp/guest" 2>&1 &
        guest=$!
        $lab run -t 200 'sh /h/measure.sh b-disk 4' > "$tmp/dom0" 2>&1
        wait $guest
        stop disk "$2"
        records 4 1
        ;;
    net)
        cat > "$tmp/load.sh" << G
$phases
i=0; until [ -e /sys/class/net/eth0 ] || [ \$i = 100 ]; do i=\$((i + 1)); sleep 0.1; done
ip addr add 10.7.0.\$1/24 dev eth0; ip link set eth0 up
[ \$1 != 1 ] || { iperf3 -s -D; exit; }
ping -c 3 10.7.0.1 > /dev/null
k=0
for work in "" "-R" "-M 500"; do
    k=\$((k + 1))
    sleep 1; phase b\$k; sleep 0.3
    iperf3 -c 10.7.0.1 -t $seconds -f k --connect-timeout 5000 \$work > /tmp/iperf 2>&1
    phase e\$k
    awk -v k=\$k '/receiver/ { for (i = 2; i <= NF; i++) if (\$i == "Kbits/sec") print "rate" k, \$(i - 1) * 1000, $seconds }' /tmp/iperf
done
sleep 1
G
        vif() {
            case $1 in
                linux) echo "vif=['mac=00:16:3e:00:08:0$2,bridge=xenbr0,script=vif-lab']" ;;
                ours) echo "vif=['mac=00:16:3e:00:08:0$2,script=/h/vif-ours']" ;;
                stub) echo "vif=['mac=00:16:3e:00:08:0$2,backend=bench-back']" ;;
            esac
        }
        serve xen_netback net "$2"
        $lab guest b-listens --pvh --keep --tools --memory 128 -t 60 --file "$tmp/load.sh" --config "$(vif "$2" 1)" -- \
            'sh load.sh 1' > /dev/null 2>&1
        $lab guest b-talks --pvh --tools --memory 128 -t 120 --file "$tmp/load.sh" --config "$(vif "$2" 2)" -- \
            'sh load.sh 2' > "$tmp/guest" 2>&1 &
        guest=$!
        $lab run -t 150 'sh /h/measure.sh b-talks 3' > "$tmp/dom0" 2>&1
        wait $guest
        $lab run 'xl destroy b-listens; sleep 0.5'
        stop net "$2"
        records 3 1000
        ;;
esac
