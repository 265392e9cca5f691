#!/bin/sh
# Encrypted disks: images made by the command and by stock tools, in a hosted world whose domains use them; what the file
# shows; keys that are wrong or not there.
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
skip() { n=$((n + 1)); echo "ok $n - $1 # SKIP no $2 here"; }
has() { case "$1" in *"$2"*) true ;; *) echo "# no '$2' in: $1"; false ;; esac; }
refused() { # WORDS ARGS... - the command fails and says so
    words=$1; shift
    out=$($x image "$@" 2>&1); [ $? -gt 0 ] && has "$out" "$words"
}
domid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"domid":\([0-9]*\).*/\1/p'; }
pid() { $x list --json | tr '{' '\n' | grep "\"name\":\"$1\"" | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'; }
data() { $x store read "/local/domain/$(domid "$1")/data/$2" 2> /dev/null; }
goes_on() {
    from=$(data "$1" round) i=0
    while [ $i -lt 300 ] && [ "$(data "$1" round || echo 0)" -le "${from:-0}" ] 2> /dev/null; do i=$((i + 1)); sleep 0.05; done
    [ $i -lt 300 ] && [ "$(data "$1" wrong)" = 0 ] && [ -z "$(data "$1" error)" ]
}
logged() {
    i=0
    while [ $i -lt 200 ] && ! $x log 2> /dev/null | grep -q -- "$1"; do i=$((i + 1)); sleep 0.05; done
    [ $i -lt 200 ] || { echo "# not logged: $1"; false; }
}
mkdir "$tmp/i" "$tmp/k" && cd "$tmp/i" || exit 1
printf 'a key\n' > ../k/one
printf 'another' > ../k/two
: > ../k/empty
dd if=/dev/urandom of=../k/raw bs=64 count=1 2> /dev/null

$x image create --luks --key-file ../k/one --cost 50 data.img 4M && [ "$(wc -c < data.img)" = 6291456 ] &&
    out=$($x image info data.img) && has "$out" "LUKS1, 4 MiB behind a header of 2 MiB" && has "$out" "key slot 0:" &&
    out=$($x image info --json data.img) && has "$out" '"type":"luks"'
ok $? "an image is made and told of"
out=$($x image key add --key-file ../k/one --new-key-file ../k/two --cost 50 data.img) && has "$out" "key slot 1" &&
    out=$($x image info data.img) && has "$out" "key slot 1:"
ok $? "a key is added"
refused "no key slot opens" key add --key-file ../k/raw --new-key-file ../k/two data.img &&
    refused "key slot 5 is not in use" key remove --slot 5 data.img && refused "it is empty" create --luks --key-file ../k/empty e.img 1M &&
    refused "belong together" create --luks e.img 1M && refused "belong together" create --key-file ../k/one e.img 1M &&
    refused "raw images only" create --luks --key-file ../k/one e.vhd 1M && refused "no such" create --luks --key-file ../k/no e.img 1M &&
    [ ! -e e.img ] && [ -z "$(ls ./*.part 2> /dev/null)" ]
ok $? "what cannot be is refused, and leaves nothing"
if cryptsetup --version > /dev/null 2>&1; then
    [ "$(cryptsetup luksUUID data.img)" = "$($x image info data.img | sed -n 's/.*uuid //p')" ] &&
        cryptsetup open --test-passphrase --type luks1 data.img --key-file ../k/one &&
        cryptsetup open --test-passphrase --type luks1 data.img --key-file ../k/two --key-slot 1
    ok $? "cryptsetup opens it"
    truncate -s 3M theirs.img
    cryptsetup luksFormat -q --type luks1 --cipher aes-xts-plain64 --key-size 256 --pbkdf-force-iterations 1000 theirs.img ../k/two &&
        has "$($x image info theirs.img)" "a key of 256 bits"
    ok $? "and its own are known"
    truncate -s 32M new.img
    cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 --pbkdf-force-iterations 1000 new.img ../k/two &&
        refused "cryptsetup convert" info new.img
    ok $? "LUKS2 is told"
else
    skip "cryptsetup opens it" cryptsetup
    skip "and its own are known" cryptsetup
    skip "LUKS2 is told" cryptsetup
    $x image create --luks --key-file ../k/two --cost 50 theirs.img 1M
fi
truncate -s 4M plain.img
$x image create plainer.img 4M

cat > "$tmp/w.lua" << W
return { name = "c", domains = {
  { name = "log", service = "log" },
  { name = "disks", service = "disk", params = { images = "$tmp/i", keys = "$tmp/k" }, restart = "always" },
  { name = "keyless", service = "disk", params = { images = "$tmp/i" } },
  { name = "u1", script = "$user", restart = "never", disks = { data = { image = "luks:one:data.img", back = "disks" } } },
  { name = "u2", script = "$user", restart = "never",
    disks = { data = { image = "limit:5000:100M:luks:two:theirs.img", back = "disks" } } },
  { name = "u3", script = "$user", restart = "never", disks = { data = { image = "xts:raw:plain.img", back = "disks" } } },
  { name = "u4", script = "$user", restart = "never",
    disks = { data = { image = "overlay:8M:luks:two:data2.img", back = "disks" } } },
  { name = "bad1", script = "$user", restart = "never", disks = { data = { image = "luks:raw:bad1.img", back = "disks" } } },
  { name = "bad2", script = "$user", restart = "never", disks = { data = { image = "luks:none:bad1.img", back = "disks" } } },
  { name = "bad3", script = "$user", restart = "never", disks = { data = { image = "luks:one:plainer.img", back = "disks" } } },
  { name = "bad4", script = "$user", restart = "never", disks = { data = { image = "luks:one:bad1.img", back = "keyless" } } },
  { name = "bad5", script = "$user", restart = "never", disks = { data = { image = "xts:one:plainer.img", back = "disks" } } },
} }
W
cp data.img data2.img
cp data.img bad1.img
$x up -d -q "$tmp/w.lua"
ok $? "a world with encrypted disks comes up"
node=/local/domain/$(domid disks)/backend/vbd/$(domid bad1)/51712/error i=0
while [ $i -lt 80 ] && ! $x store read "$node" > error 2> /dev/null; do i=$((i + 1)); sleep 0.05; done
has "$(cat error)" "XK_EACCES bad1.img: no key slot opens with that key (key raw)"; ok $? "a wrong key is told where the disk is"
goes_on u1 && [ "$(data u1 bytes)" = 4194304 ]; ok $? "a disk with a header is written and read"
goes_on u2; ok $? "one that another tool made, with a limit"
goes_on u3; ok $? "one without a header"
goes_on u4; ok $? "one that is only read, with what is written in memory"
readlink "/proc/$(pid disks)/exe" | grep -q domain-crypt && ! readlink "/proc/$(pid u1)/exe" | grep -q domain-crypt
ok $? "only the domain that encrypts has the program for it"
for k in 1 2; do kill -9 "$(pid disks)"; goes_on u1 && goes_on u3 || break; done
ok $? "its back end is killed twice: nothing fails"
logged 'no key slot opens with that key (key raw)'; ok $? "and in the log"
logged 'the key .*none'; ok $? "and a key that is not there"
logged 'plainer.img: it has no LUKS header'; ok $? "and an image that has no header"
logged 'luks:one:bad1.img: this service was given no folder of keys'; ok $? "and a service without keys"
logged 'a key of AES-XTS has 32 or 64 bytes'; ok $? "and a key of another length"
refused "in use by a domain" key add --key-file ../k/one --new-key-file ../k/two data.img
ok $? "a header that is in use is not changed"
kill -9 "$(pid u1)" "$(pid u2)"
$x down
! tail -c +2097153 data.img | grep -q 00000001 && ! grep -q 00000001 theirs.img && ! grep -q 00000001 plain.img &&
    tail -c +2097153 data.img | head -c 1000000 | tr -d '\0' | wc -c | grep -q '^99[0-9]*$'
ok $? "the files show nothing of it"
if qemu-io --version > /dev/null 2>&1; then
    qemu-img convert --object secret,id=s,file=../k/one,format=raw --image-opts driver=luks,key-secret=s,file.filename=data.img \
        -O raw seen.img && head -c 8 seen.img | grep -q 00000000 && [ "$(wc -c < seen.img)" = 4194304 ] &&
        qemu-img convert --object secret,id=s,file=../k/two,format=raw --image-opts driver=luks,key-secret=s,file.filename=theirs.img \
            -O raw seen.img && head -c 8 seen.img | grep -q 00000000
    ok $? "QEMU reads what was written"
else
    skip "QEMU reads what was written" qemu-img
fi
# The command loads OpenSSL when it needs it: without it all else works.
lib=$(ldconfig -p 2> /dev/null | sed -n 's/.*libcrypto.so.3 .*=> //p' | head -1)
if ldd "$build/xenkit" | grep -q libcrypto; then
    skip "without OpenSSL only encryption is missing" "program that loads it late"
elif [ -z "$lib" ] || ! unshare -Umr sh -c "mount --bind /dev/null '$(readlink -f "$lib")'" 2> /dev/null; then
    skip "without OpenSSL only encryption is missing" "namespace to hide it in"
else
    out=$(unshare -Umr sh -c "mount --bind /dev/null '$(readlink -f "$lib")'
        $build/xenkit image create plainest.img 1M && $build/xenkit image create --luks --key-file ../k/one no.img 1M" 2>&1)
    [ $? -gt 0 ] && [ -e plainest.img ] && [ ! -e no.img ] && has "$out" "no encryption without libcrypto.so.3 (apt-get install libssl3)" &&
        has "$out" "not supported"
    ok $? "without OpenSSL only encryption is missing"
fi
echo "1..$n"
exit $bad
