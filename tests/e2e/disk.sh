#!/bin/sh
# Disks in a hosted world: a service that uses one while its back end is killed, restarted, and changed for another.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
x="timeout -k 2 20 $build/xenkit"
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
# The list's fields are sorted: domid comes before name, pid after.
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
data() { $x store read "/local/domain/$(domid "$1")/data/$2" 2> /dev/null; }
# Waits until the user has finished (count) more rounds.
rounds() { # NAME COUNT
    from=$(data "$1" round) i=0
    from=${from:-0}
    while [ $i -lt 200 ] && [ "$(data "$1" round || echo 0)" -lt $((from + $2)) ] 2> /dev/null; do
        i=$((i + 1)); sleep 0.05
    done
    now=$(data "$1" round)
    [ "${now:-0}" -ge $((from + $2)) ] || { echo "# $1 stands at ${now:-0}, was at $from: $(data "$1" error)"; false; }
}
wait_for() { # NAME NODE
    i=0
    while [ $i -lt 200 ] && [ -z "$(data "$1" "$2")" ]; do i=$((i + 1)); sleep 0.05; done
    data "$1" "$2"
}

mkdir "$tmp/images"
dd if=/dev/zero of="$tmp/images/data.img" bs=1024 count=4096 2> /dev/null
dd if=/dev/zero of="$tmp/images/rings.img" bs=1024 count=2048 2> /dev/null
dd if=/dev/zero of="$tmp/images/direct.img" bs=1024 count=4096 2> /dev/null
direct=direct: # not on every file system
dd if="$tmp/images/direct.img" of=/dev/null bs=4096 count=1 iflag=direct 2> /dev/null || direct=
dd if=/dev/zero of="$tmp/images/db.img" bs=1024 count=8192 2> /dev/null
dd if=/dev/zero of="$tmp/images/cut.img" bs=1024 count=8192 2> /dev/null
dd if=/dev/zero of="$tmp/images/relay.img" bs=1024 count=2048 2> /dev/null
dd if=/dev/zero of="$tmp/images/table.img" bs=1024 count=2060 2> /dev/null
printf '\0\0\0\0\203\0\0\0\10\0\0\0\0\20\0\0' | dd of="$tmp/images/table.img" bs=1 seek=446 conv=notrunc 2> /dev/null
printf '\125\252' | dd of="$tmp/images/table.img" bs=1 seek=510 conv=notrunc 2> /dev/null
dd if=/dev/zero of="$tmp/images/ro.img2" bs=1024 count=1024 2> /dev/null
printf 'readable' > "$tmp/images/ro.img"
dd if=/dev/zero bs=1024 count=64 >> "$tmp/images/ro.img" 2> /dev/null
user=$PWD/tests/e2e/lib/disk_user.lua
cat > "$tmp/d.lua" << W
return { name = "d", domains = {
  { name = "log", service = "log" },
  { name = "disks", service = "disk", params = { images = "$tmp/images", queues = 4 }, restart = "always" },
  { name = "disks2", service = "disk", params = { images = "$tmp/images", queues = 2 }, restart = "always" },
  { name = "disks3", service = "disk", params = { images = "$tmp/images" } },
  { name = "relay", service = "disk", disks = { far = { image = "relay.img", dev = "xvdb", back = "disks" } } },
  { name = "leaf", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "vbd:xvdb", back = "relay" } } },
  { name = "part", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "limit:2000:20M:part:1:table.img", back = "disks2" } } },
  { name = "over1", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "overlay:4M:ro.img2", back = "disks2" } } },
  { name = "over2", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "overlay:4M:ro.img2", back = "disks2" } } },
  { name = "user", script = "$user", disks = { data = { image = "data.img", back = "disks" } }, restart = "never" },
  { name = "direct", script = "$user", params = { pause = 0.1 }, disks = { data = { image = "${direct}direct.img", back = "disks" } },
    restart = "never" },
  { name = "rings", script = "$user", params = { pause = 0.1 }, disks = { data = { image = "rings.img", back = "disks", queues = 4 } },
    restart = "never" },
  { name = "mem", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "memory:2M", back = "disks2" } } },
  { name = "mem2", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "memory:2M", back = "disks2" } } },
  { name = "twice", script = "$user", params = { pause = 0.3 }, restart = "never",
    disks = { data = { image = "data.img", back = "disks" } } },
  { name = "ro", script = "$user", params = { readonly = true }, restart = "never",
    disks = { data = { image = "ro.img", mode = "r", back = "disks" } } },
  { name = "db", script = "$PWD/tests/e2e/lib/disk_db.lua", restart = "always",
    disks = { data = { image = "db.img", back = "disks2" } } },
  { name = "cut", script = "$PWD/tests/e2e/lib/disk_db.lua", restart = "always",
    disks = { data = { image = "power:0:cut.img", back = "disks3" } } },
  { name = "odd", script = "$user", restart = "never",
    disks = { data = { image = "power:99999999999999999999:no.img", back = "disks" } } },
  { name = "none", script = "$user", restart = "never", disks = { data = { image = "no.img", back = "disks" } } },
} }
W
$x up -d -q "$tmp/d.lua" > "$tmp/up.log" 2>&1
ok $? "a world with disks comes up"
rounds user 2; ok $? "a disk is written and read"
[ "$(data user wrong)" = 0 ]; ok $? "what is read is what was written"
[ "$(data user bytes)" = 4194304 ]; ok $? "its size is the image's"
head -c 8 "$tmp/images/data.img" | grep -q 00000000; ok $? "it stands in the image"
rounds direct 1 && [ "$(data direct wrong)" = 0 ] && head -c 8 "$tmp/images/direct.img" | grep -q 00000000
ok $? "a disk past the page cache"
skip=''
case $(cat /proc/sys/kernel/io_uring_disabled 2> /dev/null) in 1 | 2) skip=' # SKIP Linux allows no io_uring here' ;; esac
[ -n "$skip" ] || find "/proc/$(pid disks)/fd" -lname '*io_uring*' 2> /dev/null | grep -q .
ok $? "the back end has its ring for files$skip"
rounds mem 1 && [ "$(data mem wrong)" = 0 ]; ok $? "a disk in memory"
rounds mem2 1 && [ "$(data mem2 wrong)" = 0 ]; ok $? "and another one, which is not the same"
rings() { $x store read "/local/domain/$(domid "$1")/device/vbd/51712/multi-queue-num-queues"; }
rounds rings 1 && [ "$(data rings wrong)" = 0 ] && [ "$(rings rings)" = 4 ] && [ "$(rings user)" = 1 ]
ok $? "a disk of four rings, and others of one"
rounds part 1 && [ "$(data part wrong)" = 0 ] && [ "$(data part bytes)" = 2097152 ] &&
    dd if="$tmp/images/table.img" bs=512 skip=8 count=1 2> /dev/null | head -c 8 | grep -q 00000000
ok $? "a partition, with a limit"
rounds over1 1 && rounds over2 1 && [ "$(data over1 wrong)$(data over2 wrong)" = 00 ] &&
    ! tr -d '\0' < "$tmp/images/ro.img2" | grep -q .
ok $? "two domains write over one image, which stays as it was"
rounds leaf 1 && [ "$(data leaf wrong)" = 0 ] && head -c 8 "$tmp/images/relay.img" | grep -q 00000000
ok $? "a disk that is passed on by the domain that has it"
out=$(wait_for ro write) && has "$out" XK_EROFS && [ "$(wait_for ro read)" = readable ]; ok $? "a disk that may only be read"
i=0
while [ $i -lt 150 ] && $x list --json | grep -q '"name":"none"'; do i=$((i + 1)); sleep 0.05; done
$x log 2> /dev/null | grep -q 'no.img is not there'
ok $? "an image that is not there is told"
$x log 2> /dev/null | grep -q 'no.img: it is written as power:7:IMAGE'; ok $? "and one that is written wrongly"
i=0
while [ $i -lt 150 ] && ! $x log 2> /dev/null | grep -q 'data.img is in use'; do i=$((i + 1)); sleep 0.05; done
[ $i -lt 150 ]; ok $? "an image is written by one domain alone"

for i in 1 2 3; do
    kill -9 "$(pid disks)"
    rounds user 1 || break
done
ok $? "its back end is killed three times: nothing fails"
rounds direct 1 && rounds rings 1 && [ "$(data user wrong)$(data direct wrong)$(data rings wrong)" = 000 ] &&
    [ -z "$(data user error)$(data direct error)$(data rings error)" ] && [ "$(rings rings)" = 4 ]
ok $? "and nothing is lost"
$x move rings data --back disks2 && rounds rings 2 && [ "$(data rings wrong)" = 0 ] && [ "$(rings rings)" = 2 ]
ok $? "a disk of four rings is moved to a back end that offers two"
$x move rings data --back disks && rounds rings 2 && [ "$(data rings wrong)" = 0 ] && [ "$(rings rings)" = 4 ]
ok $? "and back"
$x move user data --back disks2; ok $? "it is moved to another back end"
rounds user 2 && [ "$(data user wrong)" = 0 ]; ok $? "and goes on there"
[ -n "$($x store ls "/local/domain/$(domid disks2)/backend/vbd/$(domid user)")" ] &&
    [ -z "$($x store ls "/local/domain/$(domid disks)/backend/vbd/$(domid user)" 2> /dev/null)" ]
ok $? "as the store says"
$x move user data --back disks && rounds user 1; ok $? "and back"
out=$($x move user nothing --back disks 2>&1); [ $? = 1 ] && has "$out" "no disk or vif 'nothing'"; ok $? "a disk that it has not"
out=$($x move user data --back nobody 2>&1); [ $? = 1 ] && has "$out" "no domain 'nobody'"; ok $? "a domain that is not"
out=$($x move user data 2>&1); [ $? = 2 ] && has "$out" "--back"; ok $? "where to has to be said"
# A database: its domain and its back end are killed in turn; what was told is there. Of another one the disk loses its power
# each time.
killed() { # NAME [VICTIM]
    sleep 0.15
    told=$(data "$1" count) id=$(domid "$1")
    kill -9 "$(pid "${2:-$1}")"
    [ -z "${2:-}" ] || return
    i=0
    while [ $i -lt 200 ] && { [ "$(domid "$1")" = "$id" ] || [ -z "$(data "$1" found)" ]; }; do i=$((i + 1)); sleep 0.05; done
    found=$(data "$1" found)
    [ "${found:-0}" -ge "${told:-0}" ] && [ "$(data "$1" check)" = ok ] || { lost=1; echo "# told $told, found $found"; }
}
told=0 lost=0
for life in 1 2 3 4; do killed cut; done
[ $lost = 0 ] && [ "${told:-0}" -gt 10 ]; ok $? "a database on a disk that loses its power has all that was told, four times ($told rows)"
[ "$($x log 2> /dev/null | grep -c 'cut.img loses its power with')" = 4 ]; ok $? "and the service's log says so"
told=0 lost=0
for victim in '' disks2 '' '' disks2 ''; do killed db $victim; done
[ $lost = 0 ] && [ "${told:-0}" -gt 20 ]; ok $? "a database on a disk has all that was told, after six kills ($told rows)"
$x shutdown user > /dev/null; ok $? "the user ends"
[ -z "$($x store ls "/local/domain/$(domid disks)/backend/vbd" 2> /dev/null | grep "^$(domid user)$")" ]
ok $? "and its disk is gone"

# A world where io_uring is forbidden: its disks work, and the service says why they are slow, once.
$x down > /dev/null 2>&1
cat > "$tmp/slow.lua" << W
return { name = "slow", domains = {
  { name = "log", service = "log" },
  { name = "disks", service = "disk", params = { images = "$tmp/images" } },
  { name = "user", script = "$user", params = { pause = 0.05 }, restart = "never",
    disks = { data = { image = "data.img", back = "disks" } } },
  { name = "second", script = "$user", params = { pause = 0.05 }, restart = "never",
    disks = { data = { image = "db.img", back = "disks" } } },
} }
W
if ${CC:-cc} -O2 -o "$tmp/no_uring" tests/e2e/lib/no_uring.c 2> /dev/null; then
    "$tmp/no_uring" "$build/xenkit" up -d -q "$tmp/slow.lua" > /dev/null 2>&1
    rounds user 2 && rounds second 1 && [ "$(data user wrong)$(data second wrong)" = 00 ] &&
        ! find "/proc/$(pid disks)/fd" -lname '*io_uring*' 2> /dev/null | grep -q .
    ok $? "disks where io_uring is forbidden"
    [ "$($x log 2> /dev/null | grep -c 'no io_uring here')" = 1 ]; ok $? "of which the log says so, once"
    $x down > /dev/null 2>&1
else
    ok 0 "disks where io_uring is forbidden # SKIP no C compiler"
fi

wrong=0
for line in "disks = { ['1'] = {} }" "disks = { a = 1 }" "disks = { a = { image = 'x' } }" \
    "disks = { a = { image = 'x', back = 'y', made = 1 } }" "disks = { a = { image = 'x', back = 'y', mode = 'rw' } }" \
    "disks = { a = { image = 'x', back = 'y', dev = 'hda' } }"; do
    echo "return { name = 'w', domains = { { name = 'd', script = '$user', $line } } }" > "$tmp/w.lua"
    out=$($x up "$tmp/w.lua" 2>&1) && wrong=1
    has "$out" "w.lua:1" || wrong=1
done
ok $wrong "disks that are described wrongly are told, with the line"
echo "1..$n"
exit $bad
