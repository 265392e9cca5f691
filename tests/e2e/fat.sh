#!/bin/sh
# FAT: `xenkit fat` on image files, judged by fsck.fat and mtools; a domain that keeps files on its disk while it and its back
# end are killed.
set -u
build=${1:-build}
case $build in /*) ;; *) build=$PWD/$build ;; esac
x="timeout -k 2 60 $build/xenkit"
user=$PWD/tests/e2e/lib/fat_user.lua
lua=$PWD/lua
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt
export XENKIT_RUNTIME_DIR
trap '$x down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
refused() { # WORDS ARGS...
    words=$1; shift
    out=$($x fat "$@" 2>&1); [ $? -gt 0 ] && has "$out" "$words"
}
PATH=$PATH:/sbin:/usr/sbin
judge=$(command -v fsck.fat || true)
mtools=$(command -v mcopy || true)
sound() { [ -z "$judge" ] || fsck.fat -n "$1" > fsck.out 2>&1 || { sed 's/^/# /' fsck.out; false; }; }
mkdir "$tmp/i" && cd "$tmp/i" || exit 1

$x fat format small.img 1440K && $x fat format --label Data data.img 24M && $x fat format --type 32 --cluster 512 big.img 40M
ok $? "file systems are made"
out=$($x fat info small.img) && has "$out" "FAT12" && out=$($x fat info data.img) && has "$out" "FAT16 'DATA'" &&
    out=$($x fat info --json big.img) && has "$out" '"type":32' && sound small.img && sound data.img && sound big.img
ok $? "of each kind"
for image in small.img data.img big.img; do
    $x fat put $image "$lua/xenkit/cli" / && $x fat mkdir $image /a/b/c && echo hello > hello.txt &&
        $x fat put $image hello.txt "/a/b/c/Hello, world.txt" && [ "$($x fat cat $image "/A/B/C/hello, WORLD.txt")" = hello ] &&
        rm -rf out && $x fat get $image /cli out && diff -r out "$lua/xenkit/cli" > /dev/null && sound $image || break
done
ok $? "a folder goes in and comes out"
if [ -n "$mtools" ]; then
    rm -rf out2 && mkdir out2 && mcopy -s -n -Q -i big.img ::/cli out2 && diff -r out2/cli "$lua/xenkit/cli" > /dev/null &&
        mcopy -i big.img hello.txt '::/by mtools.txt' && [ "$($x fat cat big.img '/By mtools.txt')" = hello ]
    ok $? "mtools has the same, and its own is read"
else
    n=$((n + 1)); echo "ok $n - mtools has the same, and its own is read # SKIP no mtools here"
fi
out=$($x fat ls small.img) && has "$out" "cli/" && has "$($x fat ls --json small.img /a/b/c)" '"name":"Hello, world.txt"' &&
    $x fat mv small.img "/a/b/c/hello, world.txt" /a/moved && $x fat rm small.img /a/b/c && $x fat rm -r small.img /cli &&
    [ "$($x fat ls small.img / | wc -l)" = 1 ] && sound small.img
ok $? "names are changed and taken away"
refused "no such entry" cat small.img /nothing && refused "not empty" rm small.img /a && refused "FAT has no such name" mkdir \
    small.img "/a:b" && refused "there already" format small.img 1M && refused "no such file" ls nothing.img &&
    refused "no FAT file system" ls hello.txt && refused "is no size" format new.img many &&
    refused "cannot have so many clusters" format --type 12 --cluster 512 new.img 64M && [ ! -e new.img ] &&
    refused "up to 11 letters" format --label "much too long a label" new.img 1M && [ ! -e new.img ]
ok $? "what cannot be is refused, with a reason"
cp data.img left.img
printf '\001' | dd of=left.img bs=1 seek=37 conv=notrunc 2> /dev/null # in use, it says
printf '\377\377' | dd of=left.img bs=1 seek=$((512 * 4 + 2 * 9000)) conv=notrunc 2> /dev/null # a cluster of nobody's
out=$($x fat check left.img) && has "$out" "it was not unmounted" && has "$out" "1 clusters belong to no file" &&
    has "$out" "nothing is lost" && out=$($x fat check --repair left.img) && has "$out" "sound now" &&
    [ "$($x fat check left.img)" = "left.img: sound" ] && sound left.img
ok $? "what was left half done is told, and put right"

# Many small files, with all that is not plain between them.
mkdir many many/sub many/sub/sub && for i in $(seq 100); do head -c $((i * 97 % 9000)) /dev/urandom > "many/file number $i.txt"; done
head -c 16384 /dev/urandom > many/whole && head -c 16385 /dev/urandom > many/more && head -c 3000000 /dev/urandom > many/large &&
    : > many/empty && echo deep > many/sub/sub/deep && ln -s ../hello.txt many/link && ln -s sub many/sublink
for image in small.img data.img big.img; do
    [ $image = small.img ] && $x fat format --overwrite small.img && rm -f many/large
    [ $image = data.img ] && head -c 3000000 /dev/urandom > many/large
    rm -rf out out2 && $x fat put $image many / && $x fat get $image /many out && diff -r many out > /dev/null && sound $image &&
        [ "$(stat -c %a out/empty out/large out/link 2> /dev/null | sort -u)" = 600 ] || break
    [ -z "$mtools" ] || { mkdir out2 && mcopy -s -n -Q -i $image ::/many out2 && diff -r many out2/many > /dev/null; } || break
done
ok $? "many files, small and large, links and empty ones"
echo new > many/empty && echo new > "many/file number 7.txt" && : > many/whole && mkdir -p to/many && echo longer > to/many/empty &&
    echo x > to/many/mine && $x fat put data.img many / && sound data.img && $x fat get data.img /many to && rm to/many/mine &&
    diff -r many to/many > /dev/null &&
    ! $x fat ls data.img /many | grep -q '~'
ok $? "what is there gets new contents, and what else is there stays"
mkdir odd && echo 1 > odd/a && echo 2 > "odd/b:c" && echo 3 > odd/d && refused "odd/b:c: FAT has no such name" put data.img odd / &&
    rm "odd/b:c" && ln -s nowhere odd/c && refused "odd/c: no such" put data.img odd / && rm odd/c && sound data.img &&
    $x fat rm data.img /odd/d && $x fat mkdir data.img /odd/D && refused "/odd/d: is a directory" put data.img odd / && $x fat rm data.img /odd/D &&
    { [ "$(id -u)" = 0 ] || { chmod 0 odd/d && refused "odd/d: " put data.img odd / && chmod 700 odd/d; }; } &&
    $x fat put data.img odd / && mkdir -p odd2/odd/a && refused "odd2/odd/a: is a directory" get data.img /odd odd2 &&
    $x fat format tiny.img 64K && refused "no space" put tiny.img many / && sound tiny.img
ok $? "what cannot be copied is named"
# A name that leads out of the folder, as no file system made it: "..\0" or "../x" in place of "zzzz".
mkdir evil && echo bad > evil/zzzzaaaaaaaa.long && $x fat format evil.img 1M && $x fat put evil.img evil / && mkdir -p jail/in && n1=0
for to in '\056\0\056\0\057\0x\0' '\056\0\056\0\0\0\377\377'; do
    cp evil.img e.img && at=$(grep -obUaP 'z\x00z\x00z\x00z\x00' e.img | head -1 | cut -d: -f1) &&
        printf "$to" | dd of=e.img bs=1 seek="$at" conv=notrunc 2> /dev/null && { refused "FAT has no such name" get e.img /evil jail/in ||
        refused "no such entry" get e.img /evil jail/in; } && [ "$(find jail -type f | wc -l)" = 0 ] || n1=1
done
[ $n1 = 0 ]; ok $? "names that lead out of the folder lead nowhere"

mkdir evil2 evil2/zzzzaaaaaaaa.long && echo bad > evil2/zzzzaaaaaaaa.long/file && $x fat format e2.img 1M && $x fat put e2.img evil2 / && n1=0 &&
    at=$(grep -obUaP 'z\x00z\x00z\x00z\x00' e2.img | head -1 | cut -d: -f1) &&
    printf '\056\0\056\0\057\0x\0' | dd of=e2.img bs=1 seek="$at" conv=notrunc 2> /dev/null && { refused "FAT has no such name" get e2.img /evil2 jail/in ||
    refused "no such entry" get e2.img /evil2 jail/in; } && [ -d jail/in/evil2 ] && [ ! -e jail/in/x ] && [ ! -e jail/in/xaaaaaaaa.long ] && [ "$(find jail/in -maxdepth 1 | wc -l)" -le 3 ]
ok $? "nor do those of directories"
mkdir hurt && head -c 3000 /dev/urandom > hurt/SHORT.TXT && $x fat format hurt.img 1M && $x fat put hurt.img hurt / && mkdir -p kept/hurt && echo old > kept/hurt/SHORT.TXT &&
    at=$(grep -obUa 'SHORT   TXT' hurt.img | head -1 | cut -d: -f1) &&
    printf '\001\0' | dd of=hurt.img bs=1 seek=$((at + 26)) conv=notrunc 2> /dev/null && refused "/hurt/SHORT.TXT: " get hurt.img /hurt kept &&
    [ "$(cat kept/hurt/SHORT.TXT)" = old ] && refused "/hurt/SHORT.TXT: " get hurt.img /hurt kept2 &&
    printf '           ' | dd of=hurt.img bs=1 seek="$at" conv=notrunc 2> /dev/null && refused "/hurt: an entry has no name" get hurt.img /hurt kept3
ok $? "what cannot be read is named, and what is there stays"

# A domain that keeps files.
cat > "$tmp/w.lua" << W
return { name = "f", domains = {
  { name = "log", service = "log" },
  { name = "disks", service = "disk", params = { images = "$tmp/i" }, restart = "always" },
  { name = "user", script = "$user", restart = "on-failure", disks = { data = { image = "disk.img", back = "disks" } } },
} }
W
dd if=/dev/zero of=disk.img bs=1M count=6 2> /dev/null
$x up -d -q "$tmp/w.lua" || exit 1
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
data() { $x store read "/local/domain/$(domid user)/data/$1" 2> /dev/null; }
goes_on() {
    from=$(data synced) i=0
    while [ $i -lt 200 ] && [ "$(data synced || echo 0)" -le "${from:-0}" ] 2> /dev/null; do i=$((i + 1)); sleep 0.05; done
    [ $i -lt 200 ] || { echo "# $(data error)"; false; }
}
goes_on; ok $? "a domain keeps files on its disk"
refused "in use" put disk.img hello.txt /; ok $? "which nobody changes meanwhile"
told=0 lost=0
for victim in disks user disks user user user; do
    sleep 0.15
    goes_on || { lost=1; break; }
    told=$(data synced) id=$(domid user)
    kill -9 "$(pid $victim)"
    [ $victim = user ] || continue
    i=0
    while [ $i -lt 200 ] && { [ "$(domid user)" = "$id" ] || [ -z "$(data found)" ]; }; do i=$((i + 1)); sleep 0.05; done
    [ "$(data found)" -ge "$told" ] 2> /dev/null && [ "$(data wrong)" = 0 ] || { lost=1; echo "# told $told, found $(data found)"; }
done
[ $lost = 0 ]; ok $? "it and its back end are killed six times: what was told is there ($told rounds)"
$x shutdown user > /dev/null; $x down > /dev/null
out=$($x fat check disk.img); has "$out" "disk.img: sound" && sound disk.img && $x fat ls disk.img /counts/deep > out.txt &&
    [ "$(wc -l < out.txt)" = 8 ]
ok $? "and at its end it is sound"
echo "1..$n"
exit $bad
