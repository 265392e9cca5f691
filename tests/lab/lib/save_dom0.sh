#!/bin/sh
# SPDX-License-Identifier: MIT
# In dom0: starts the domain NAME (/h/NAME.cfg, tests/lab/test_save.sh), saves and restores it TURNS times while it works, and says a
# line a turn: whether its disk and its network go on.
name=$1 turns=$2 id=
data() { xenstore-read "/local/domain/$id/data/$1" 2> /dev/null || echo "${2:-0}"; }
pings() { data pings | cut -d' ' -f1; }
past() { # WHAT NUMBER: waits until it is more
    n=0
    until [ "$($1)" -gt "$2" ] || [ $n = 100 ]; do n=$((n + 1)); usleep 100000; done
    [ $n -lt 100 ]
}
rounds() { data round; }
resumes() { data resumes; }
xl create -q "/h/$name.cfg" > /tmp/said 2>&1 || { tail -n 5 /tmp/said; exit 1; }
id=$(xl domid "$name")
past rounds 2
past pings 2
before=$(data address none)
for i in $(seq "$turns"); do
    xl save "$name" "/tmp/$name.img" > /tmp/said 2>&1 && xl restore "/tmp/$name.img" >> /tmp/said 2>&1 || { tail -n 5 /tmp/said; exit 1; }
    id=$(xl domid "$name")
    past resumes $((i - 1)); back=$?
    r=$(rounds) p=$(pings)
    past rounds $((r + 3)); disk=$?
    past pings $((p + 3)); net=$?
    [ "$(data now none)" = "$before" ] && same=yes || same=no
    echo "turn $i: resumed $back disk $disk wrong $(data wrong none) net $net same $same"
done
echo "address $before, $(rounds) rounds, echoes and those lost: $(data pings)"
xl destroy "$name"
rm -f "/tmp/$name.img"
