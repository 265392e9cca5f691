# SPDX-License-Identifier: MIT
# Our vchan against upstream's: a program of Debian's libxenvchan (vchan_peer.c) and vchan-socket-proxy. Ours is a stub
# domain, a process in dom0, one in a Linux guest; upstream's in dom0 and in a Linux guest; each of ours is server and
# client. The plan has a line for each vchan:
#
#   ID OURS UPSTREAM ROLE-OF-OURS KIND LEFT RIGHT JOB,JOB...
#
# and everybody goes through those of its lines, in the same order. A vchan is good when both its ends say so.
. tests/lab/lib/tap.sh
SECONDS_FOR_ALL=300 # at most

if ! ${CC:-cc} -O2 -o "$tmp/vchan_peer" tests/lab/vchan_peer.c -lxenvchan -lxenstore 2> "$tmp/err"; then
    skip "vchan against upstream's" "no libxenvchan to build the peer with (libxen-dev)"
    finish
fi

n=0
line() { # OURS UPSTREAM ROLE KIND LEFT RIGHT JOBS
    n=$((n + 1))
    echo "v$n $*"
}
pair() { # OURS UPSTREAM
    for role in server client; do
        line "$1" "$2" $role peer 1024 2048 stream:1:2000,stream:1000:60000,packet:500:20,end-ours
        line "$1" "$2" $role peer 2048 65536 stream:4096:100000,packet:2048:20,end-peer
        line "$1" "$2" $role peer 65536 65536 stream:65536:2000000,packet:1:20,packet:30000:10,end-ours
        line "$1" "$2" $role peer 4096 4096 die
        line "$1" "$2" $role proxy 1024 2048 stream:1:2000,stream:1000:50000,stream:65536:100000,end-ours
        line "$1" "$2" $role proxy 16384 16384 stream:4096:100000,end-peer
        line "$1" "$2" $role proxy 2048 1024 die
    done
}
{
    pair stub dom0
    pair stub g1
    pair dom0 g1
    pair guest dom0
    pair guest g1
    line stub dom0 server persist 1024 2048 stream:100:1000,end-ours
    for place in stub dom0; do # Linux guests are not told of another guest's death
        line $place g1 server peer 4096 4096 silent
        line $place g1 client peer 4096 4096 silent
    done
} > "$tmp/plan"

$lab put "$build/xenkit" "$build/xenkit-domain" "$build/xenkit-domain-core.boot" "$build/xenkit-domain.boot" \
    "$build/xenkit-kernel.boot" "$tmp/plan" "$tmp/vchan_peer" tests/lab/lib/vchan_ours.lua tests/lab/lib/vchan_upstream.sh \
    tests/lab/lib/vchan_dom0.sh
$lab run 'for d in vchan-g1 vchan-g2 vchan-stub; do xl destroy $d; done' > /dev/null 2>&1
$lab guest vchan-g1 --keep -t 150 --memory 160 --file "$tmp/plan" --file "$tmp/vchan_peer" \
    --file tests/lab/lib/vchan_upstream.sh -- \
    'sh /lab/vchan_upstream.sh g1 /lab/plan /lab/vchan_peer < /dev/null > /dev/console 2>&1 &' &
$lab guest vchan-g2 --keep -t 150 --memory 200 --file "$build/xenkit" --file "$build/xenkit-domain" \
    --file "$tmp/plan" --file tests/lab/lib/vchan_ours.lua -- \
    'xenkit run --on xen /lab/vchan_ours.lua plan=/lab/plan place=guest < /dev/null > /dev/console 2>&1 &'
wait
$lab run -t "$SECONDS_FOR_ALL" "sh /h/vchan_dom0.sh $((SECONDS_FOR_ALL - 10))" > "$tmp/said" 2>&1
grep -v '^[a-z0-9-]* \(v[0-9]*\|all\|early\) ' "$tmp/said" | sed 's/^/# /'

said() { sed -n "s/^$1 $2 //p" "$tmp/said"; } # PLACE ID - what that end said of it
while read -r id ours upstream role kind left right jobs; do
    place=$ours
    [ "$ours" != dom0 ] || place="ours-dom0"
    a=$(said "$place" "$id") b=$(said "$upstream" "$id")
    case $jobs in die) want=killed ;; silent) want= ;; *) want=good ;; esac
    case $a in good*) [ "$b" = "$want" ] ;; *) false ;; esac
    good=$?
    [ $good = 0 ] || echo "# $id ours: '$a' upstream's: '$b'"
    ok $good "$ours as $role, $kind in $upstream, $left/$right: $jobs"
done < "$tmp/plan"
! grep ' early ' "$tmp/said"; ok $? "nobody took g1 for dead before it was"
finish
