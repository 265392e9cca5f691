#!/bin/sh
# `xenkit image`: images made, told of, converted, stacked and coalesced, as qemu-img and libvhdi see them, also when it is
# killed on the way; and a world whose domains have them for disks.
set -u
build=${1:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
x="timeout -k 2 60 $build/xenkit"
user=$PWD/tests/e2e/lib/disk_user.lua
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
refused() { # WORDS ARGS... - the command fails and says so
    words=$1; shift
    out=$($x image "$@" 2>&1); [ $? -gt 0 ] && has "$out" "$words"
}
mkdir "$tmp/i" && cd "$tmp/i" || exit 1

$x image create empty.vhd 64M && [ "$(wc -c < empty.vhd)" -lt 4096 ] && $x image create fixed.vhd 1M -f vhd-fixed &&
    [ "$(wc -c < fixed.vhd)" = 1049088 ] && $x image create raw.img 3M && [ "$(wc -c < raw.img)" = 3145728 ]
ok $? "images of each kind are made"
out=$($x image info empty.vhd) && has "$out" "dynamic VHD, 64 MiB" && has "$out" "0 of 32 blocks of 2 MiB" &&
    out=$($x image info --json fixed.vhd) && has "$out" '"type":"fixed"' && has "$out" '"size":1048576' &&
    out=$($x image info raw.img) && has "$out" "raw, 3 MiB"
ok $? "and told of"
refused "there already" create empty.vhd 1M && refused "no size" create a.vhd lots && refused "at most 2040 GiB" create a.vhd 3T &&
    refused "a power of two" create a.vhd 10M --block 3M && refused "no such" info nothing.vhd &&
    cp raw.img wrong.vhd && refused "it is no VHD" info wrong.vhd && refused "it is no VHD" convert wrong.vhd a.img &&
    refused "no parent" coalesce empty.vhd && [ ! -e a.vhd ] && [ ! -e a.img ] && [ -z "$(ls ./*.part 2> /dev/null)" ]
ok $? "what cannot be is refused, and leaves nothing"

# A raw image with data here and there.
dd if=/dev/zero of=data.img bs=1M seek=40 count=0 2> /dev/null
for at in 0 3 7 8 21 39; do dd if=/dev/urandom of=data.img bs=1M count=1 seek=$at conv=notrunc 2> /dev/null; done
$x image convert data.img data.vhd && $x image check data.vhd > out && has "$(cat out)" "data.vhd: sound" &&
    [ "$(wc -c < data.vhd)" -lt 13000000 ] && $x image convert data.vhd back.img && cmp data.img back.img &&
    [ "$(du -k back.img | cut -f1)" -lt 8000 ]
ok $? "a raw image becomes a VHD and comes back, with its holes"
if qemu-img --version > /dev/null 2>&1; then
    qemu-img compare -q -f vpc data.vhd -F raw data.img && qemu-img convert -f raw -O vpc -o force_size=on data.img q.vhd &&
        $x image convert q.vhd q.img && cmp q.img data.img && has "$($x image info q.vhd)" "made by 'qem2'"
    ok $? "qemu-img reads it, and its own is read"
else
    n=$((n + 1)); echo "ok $n - qemu-img reads it, and its own is read # SKIP no qemu-img here"
fi

# Batmaps: what a VHD that grows has unless it is told otherwise.
$x image create none.vhd 64M --batmap no && $x image create small.vhd 64M --block 64K && has "$($x image info --json data.vhd)" '"batmap":"used"' &&
    has "$($x image info data.vhd)" "full by its batmap" && has "$($x image info none.vhd)" "of 32 blocks of 2 MiB" &&
    ! has "$($x image info none.vhd)" batmap > /dev/null && ! has "$($x image info --json small.vhd)" batmap > /dev/null
ok $? "images that grow have a batmap"
map_of() { # IMAGE - where the batmap's bits are
    /usr/bin/python3 -c 'import struct, sys
b = open(sys.argv[1], "rb").read(1 << 20)
table, _, entries = struct.unpack(">QII", b[528:544])
at = (table + 4 * entries + 511) // 512 * 512
assert b[at:at + 8] == b"tdbatmap"
print(struct.unpack(">Q", b[at + 8:at + 16])[0])' "$1"
}
if at=$(map_of data.vhd 2> /dev/null); then
    cp data.vhd torn.vhd && printf '\377' | dd of=torn.vhd bs=1 seek="$at" conv=notrunc 2> /dev/null &&
        out=$($x image check torn.vhd) && has "$out" "is not used: its checksum is wrong; it is made anew" &&
        has "$($x image info torn.vhd)" "a batmap that is wrong" && $x image convert torn.vhd torn.img && cmp torn.img data.img &&
        out=$($x image check --mend torn.vhd) && ! has "$out" "is not used" > /dev/null && cmp torn.vhd data.vhd
    ok $? "one that is wrong is not used, and made anew"
    # A bitmap that loses a bit, while the batmap says the block is full.
    cp data.vhd lies.vhd && block=$(/usr/bin/python3 -c 'print(512 * int.from_bytes(open("lies.vhd", "rb").read(1540)[1536:], "big"))') &&
        printf '\177' | dd of=lies.vhd bs=1 seek="$block" conv=notrunc 2> /dev/null && out=$($x image check lies.vhd 2>&1); [ $? = 1 ] &&
        has "$out" "says that block 0 is full, its bitmap at byte $block lacks 1 sectors" && has "$out" "check --mend" &&
        $x image check --mend lies.vhd > out && has "$(cat out)" "lies.vhd: sound" && refused "it has no batmap" check --mend none.vhd
    ok $? "one that lies is told, and made anew"
else
    for what in "one that is wrong is not used, and made anew" "one that lies is told, and made anew"; do
        n=$((n + 1)); echo "ok $n - $what # SKIP no python3 here"
    done
fi

# A chain, written in a hosted world by a domain of each level.
$x image snapshot data.vhd mid.vhd && $x image snapshot mid.vhd top.vhd && out=$($x image info top.vhd) &&
    has "$out" "over mid.vhd" && has "$out" "over data.vhd"
ok $? "images stand on others"
world() { # IMAGE...
    { echo 'return { name = "i", domains = { { name = "log", service = "log" },'
      echo "  { name = 'disks', service = 'disk', params = { images = '$tmp/i' }, restart = 'always' },"
      k=0
      for image in "$@"; do
          k=$((k + 1))
          echo "  { name = 'u$k', script = '$user', restart = 'never', disks = { data = { image = '$image', back = 'disks' } } },"
      done
      echo '} }'; } > "$tmp/w.lua"
    $x up -d -q "$tmp/w.lua"
}
data() { $x store read "/local/domain/$($x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p')/data/$2" 2> /dev/null; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
goes_on() {
    from=$(data "$1" round) i=0
    while [ $i -lt 300 ] && [ "$(data "$1" round || echo 0)" -le "${from:-0}" ] 2> /dev/null; do i=$((i + 1)); sleep 0.05; done
    [ $i -lt 300 ] && [ "$(data "$1" wrong)" = 0 ] && [ -z "$(data "$1" error)" ]
}
end_user() { $x shutdown "$1" > /dev/null 2>&1; i=0; while [ $i -lt 100 ] && [ -n "$(pid "$1")" ]; do i=$((i + 1)); sleep 0.05; done; }
world vhd:mid.vhd && goes_on u1; ok $? "a disk that is a VHD over another"
out=$($x image coalesce mid.vhd 2>&1); [ $? = 1 ] && has "$out" "in use by a domain"; ok $? "which nobody changes meanwhile"
for k in 1 2 3; do kill -9 "$(pid disks)"; goes_on u1 || break; done
ok $? "its back end is killed three times: nothing fails"
end_user u1
$x down; cmp -s data.img back.img && $x image convert data.vhd again.img && cmp again.img data.img
ok $? "its parent is as it was"
$x image check top.vhd > out 2>&1; grep -q "its parent, mid.vhd, was changed after it was made" out; ok $? "a parent that was changed is told"
rm top.vhd && $x image snapshot mid.vhd top.vhd && $x image convert mid.vhd mid.img
world vhd:top.vhd && goes_on u1 && end_user u1; $x down
$x image convert top.vhd top.img && ! cmp -s top.img mid.img
ok $? "a disk that is the third of its chain"

# Each level of the chain, which have batmaps, as libvhdi reads it.
if /usr/bin/python3 -c 'import pyvhdi' 2> /dev/null; then
    has "$($x image info --json top.vhd | grep -o '"batmap":"used"' | wc -l)" 3 && cat > judge.py << 'P' && /usr/bin/python3 judge.py
import pyvhdi
chain, step = [], 1 << 21
for name, raw in (("data.vhd", "data.img"), ("mid.vhd", "mid.img"), ("top.vhd", "top.img")):
    f = pyvhdi.file()
    f.open(name)
    if chain:
        f.set_parent(chain[-1])
    chain.append(f)
    with open(raw, "rb") as want:
        for at in range(0, f.get_media_size(), step):
            assert f.read_buffer_at_offset(min(step, f.get_media_size() - at), at) == want.read(step), (name, at)
P
    ok $? "libvhdi reads each level, batmaps or not"
else
    n=$((n + 1)); echo "ok $n - libvhdi reads each level, batmaps or not # SKIP no pyvhdi here"
fi

# The middle one is coalesced; the command is killed on the way.
mkdir keep; cp data.vhd mid.vhd top.vhd keep
killed=0 wrong=0
for delay in 0 0.002 0.004 0.006 0.008 0.01 0.012 0.015 0.02 0.03; do
    cp keep/* .
    "$build/xenkit" image coalesce mid.vhd > /dev/null 2>&1 &
    sleep $delay
    kill -9 $! 2> /dev/null
    wait $! 2> /dev/null; [ $? = 137 ] && killed=$((killed + 1))
    $x image convert --overwrite top.vhd now.img && cmp now.img top.img || wrong=1
done
[ $wrong = 0 ]; ok $? "what stands on it reads the same ($killed of 10 were killed on the way)"
cp keep/* .
$x image snapshot data.vhd other.vhd && refused "other.vhd stands on data.vhd, too" coalesce mid.vhd && rm other.vhd
ok $? "images beside it would change: that is refused"
out=$($x image coalesce mid.vhd) && has "$out" "mid.vhd is in data.vhd now, and top.vhd stands on that" && [ ! -e mid.vhd ] &&
    ! has "$($x image info top.vhd)" "mid.vhd" > /dev/null && $x image convert --overwrite top.vhd now.img && cmp now.img top.img &&
    $x image convert --overwrite data.vhd now.img && cmp now.img mid.img && $x image check top.vhd > /dev/null
ok $? "it is left out"
out=$($x image coalesce top.vhd) && has "$out" "top.vhd is in data.vhd now" && [ ! -e top.vhd ] &&
    $x image convert --overwrite data.vhd now.img && cmp now.img top.img
ok $? "and so is the last"
mkdir sub && $x image snapshot raw.img sub/over.vhd && out=$($x image info sub/over.vhd 2>&1) && has "$out" "over sub/../raw.img: raw" &&
    (cd sub && $x image info over.vhd > /dev/null && mv ../raw.img . && out=$($x image info over.vhd) && has "$out" "over raw.img")
ok $? "a raw image in another folder is a parent, too"

mv data.vhd gone.vhd; $x image snapshot gone.vhd lone.vhd; mv gone.vhd data.vhd
refused "gone.vhd, the parent of lone.vhd" info lone.vhd; ok $? "a parent that is not there is told"
cp fixed.vhd gone.vhd
refused "the one that is there is another" info lone.vhd; ok $? "and one that is another"
world vhd:lone.vhd vhd:data.vhd part:1:vhd:data.vhd
i=0
while [ $i -lt 400 ] && ! $x log 2> /dev/null | grep -q 'the one that is there is another'; do i=$((i + 1)); sleep 0.05; done
[ $i -lt 400 ] && goes_on u2; ok $? "the disk service says so, and serves others"
i=0
while [ $i -lt 400 ] && ! $x log 2> /dev/null | grep -q 'data.vhd is in use by another image'; do i=$((i + 1)); sleep 0.05; done
[ $i -lt 400 ]; ok $? "a file that one image writes is no other's"
$x down
echo "1..$n"
exit $bad
