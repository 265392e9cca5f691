# SPDX-License-Identifier: MIT
# The README's service on every ground: hosted here, in dom0, in a Linux guest, as a stub domain. One test file
# (lib/service_check.sh) runs on all of them and must print the same.
. tests/lab/lib/tap.sh
export LD_LIBRARY_PATH=

awk '/^## A service/{f=1} f&&/^```lua/{g=1;next} g&&/^```/{exit} g' README.md > "$tmp/hello.lua"
has "$(cat "$tmp/hello.lua")" visitors; ok $? "the README's service is there"

LD_LIBRARY_PATH='' sh tests/lab/lib/service_check.sh hosted "$build/xenkit" "$tmp/hello.lua" 7811 > "$tmp/hosted" 2>&1
is "$(wc -l < "$tmp/hosted")" 8 && has "$(cat "$tmp/hosted")" "counted 3"; ok $? "hosted: three visits, counted and told"

$lab put "$build/xenkit" "$build/xenkit-domain" "$build/xenkit-domain-core.boot" "$build/xenkit-domain.boot" \
    "$build/xenkit-kernel.boot" "$tmp/hello.lua" tests/lab/lib/service_check.sh
for ground in dom0 stub; do
    $lab run -t 90 "LD_LIBRARY_PATH=/h/lib sh /h/service_check.sh $ground /h/xenkit /h/hello.lua 7811" > "$tmp/$ground" 2> "$tmp/err"
    diff "$tmp/hosted" "$tmp/$ground" | sed 's/^/# /'
    cmp -s "$tmp/hosted" "$tmp/$ground"; ok $? "$ground: the same output"
done
$lab guest service-guest -t 120 --memory 256 --file "$build/xenkit" --file "$build/xenkit-domain" --file "$tmp/hello.lua" \
    --file tests/lab/lib/service_check.sh --file tests/lab/lib/store_overlap.lua -- \
    'sh "$(command -v service_check.sh)" guest xenkit "$(command -v hello.lua)" 7811
     timeout 30 xenkit run --on xen "$(command -v store_overlap.lua)" 2>&1 | grep "^store:"' > "$tmp/both" 2> "$tmp/err"
grep -v '^store:' "$tmp/both" > "$tmp/guest"
diff "$tmp/hosted" "$tmp/guest" | sed 's/^/# /'
cmp -s "$tmp/hosted" "$tmp/guest"; ok $? "a Linux guest: the same output"
is "$(grep '^store:' "$tmp/both")" "store: 100 of 100 good"; ok $? "a Linux guest: requests to the store may overlap"

# The verbs of a hosted world, on Xen.
out=$($lab run -t 60 'export LD_LIBRARY_PATH=/h/lib PATH=/h:$PATH; cd /tmp
xenkit create --on xen /h/hello.lua port=0 greeting=salut --json; xenkit list --on xen --json; xenkit pause --on xen hello
xl list hello | tail -1; xenkit unpause --on xen hello; sleep 0.5; xenkit log --on xen hello; xenkit destroy --on xen hello
sleep 0.5; xl list' 2>&1)
has "$out" '"name":"hello"'; ok $? "create and list give JSON"
has "$out" 'p---'; ok $? "pause pauses"
has "$out" 'waits for visitors'; ok $? "log shows what it printed"
! has "${out##*Name}" ' hello ' > /dev/null; ok $? "destroy ends it"

$build/xenkit build "$tmp/hello.lua" -o "$tmp/image" --as /h/image --extra 'greeting=moin' > /dev/null
$lab put "$tmp/image"
out=$($lab run 'rm -f /var/log/xen/console/guest-hello.log; xl create -q /h/image/hello.cfg; sleep 1; xl shutdown -w hello
    cat /var/log/xen/console/guest-hello.log; xl list' 2>&1)
has "$out" "waits for visitors"; ok $? "xenkit build makes what stock xl starts"
! has "${out##*Name}" ' hello ' > /dev/null; ok $? "xl shutdown ends it"
finish
