#!/bin/sh
# SPDX-License-Identifier: MIT
# A Linux guest's file systems on /dev/xvda: sh fs_guest.sh ROUNDS MIB [SECONDS]. In a round an ext4 is made and mounted, filled
# by fio, which reads all of it back, and by small files; then mounted anew, read again, and looked at by fsck. With SECONDS
# it goes on after ROUNDS until dom0 has written `data/enough`, or for so long.
rounds=$1 mib=$2 most=${3:-0}
errors='I/O error|EXT4-fs .*(error|warning)|JBD2.*(error|failed)|hung|blocked for more|WARNING|BUG:'

cat > /tmp/job << J
[global]
directory=/mnt
rw=randrw
bssplit=4k/30:8k/20:12k/10:32k/20:64k/20
size=${mib}m
verify_fatal=1
group_reporting=1
[direct]
ioengine=libaio
iodepth=8
direct=1
numjobs=2
verify=crc32c
[buffered]
ioengine=psync
fsync=32
verify=sha256
J

seconds() { cut -d. -f1 /proc/uptime; }

small_files() { # half of them go again
    mkdir /mnt/small
    i=0
    while [ $i -lt 40 ]; do
        i=$((i + 1))
        head -c $((i * 997)) /usr/bin/fio > /mnt/small/$i
        [ $((i % 2)) = 0 ] || rm /mnt/small/$((i / 2 + 1))
    done
}

sums() { (cd /mnt && find . -type f -exec sha256sum {} +); }

one_round() { # NUMBER
    mkfs.ext4 -q -F /dev/xvda || return
    mount -t ext4 /dev/xvda /mnt || return
    fio --randseed="$1" /tmp/job > /tmp/fio 2>&1 || { cat /tmp/fio; return 1; }
    small_files || return
    sums > /tmp/before
    umount /mnt && mount -t ext4 -o ro /dev/xvda /mnt || return
    sums > /tmp/after
    umount /mnt || return
    cmp /tmp/before /tmp/after || return
    fsck.ext4 -fn /dev/xvda > /tmp/fsck 2>&1 || { cat /tmp/fsck; return 1; }
}

modprobe crc32c_generic
modprobe ext4
xenstore-write data/begun 1
n=0 wrong=0 until=$(($(seconds) + most))
goes_on() { [ $n -lt "$rounds" ] || { [ "$(seconds)" -lt $until ] && ! xenstore-read data/enough > /dev/null 2>&1; }; }
while [ $wrong = 0 ] && goes_on; do
    n=$((n + 1))
    one_round $n || { wrong=1; echo "round $n failed"; }
done
grep -E ' (READ|WRITE):' /tmp/fio
tail -n 1 /tmp/fsck
dmesg | grep -E "$errors"
echo "rounds=$n wrong=$wrong errors=$(dmesg | grep -cE "$errors")"
