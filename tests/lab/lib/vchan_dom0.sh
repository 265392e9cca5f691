# SPDX-License-Identifier: MIT
# The part of tests/lab/test_vchan.sh that runs in dom0: sh vchan_dom0.sh SECONDS. The guests vchan-g1 (upstream's ends)
# and vchan-g2 (ours) are there. Starts our stub domain, our process and upstream's programs here, tells everybody who is
# who, kills g1 once all wait for it in vain, and prints everybody's results: "PLACE ID good ...". Looks only now and
# then, since there is but one processor.
seconds=$1 out=/tmp/vchan
export LD_LIBRARY_PATH=/h/lib PATH="/h:$PATH"
rm -rf "$out"; mkdir -p "$out"
deadline=$(($(date +%s) + seconds))
late() { [ "$(date +%s)" -ge $deadline ]; }

rm -f /var/log/xen/console/guest-vchan-stub.log
xenkit create --on xen /h/vchan_ours.lua --name vchan-stub plan=/h/plan place=stub > "$out/create" 2>&1 ||
    { cat "$out/create"; exit 1; }
xenstore-rm data/v-peers 2> /dev/null
xenstore-rm data/v-died 2> /dev/null
xenkit run --on xen /h/vchan_ours.lua plan=/h/plan place=dom0 > "$out/dom0" 2>&1 &
ours=$!
sh /h/vchan_upstream.sh dom0 /h/plan /h/vchan_peer > "$out/upstream" 2>&1 &
upstream=$!

g1=$(xl domid vchan-g1) g2=$(xl domid vchan-g2) || exit 1
stub=$(xl domid vchan-stub)
for id in 0 "$stub" "$g1" "$g2"; do
    xenstore-write "/local/domain/$id/data/v-peers" "dom0=0 stub=$stub g1=$g1 guest=$g2"
done

silent() { # how many of ours have heard the last word of g1
    for id in 0 "$stub" "$g2"; do xenstore-list "/local/domain/$id/data/v-silent" 2> /dev/null; done | wc -l
}
until [ "$(silent)" = "$(grep -c ' silent$' /h/plan)" ] || late; do sleep 1; done
for id in 0 "$stub" "$g2"; do xenstore-write "/local/domain/$id/data/v-died" 1; done
xl destroy vchan-g1

log=/var/log/xen/console/guest-vchan
until grep -q 'all done' $log-stub.log && grep -q 'all done' $log-g2.log && grep -q 'all done' "$out/dom0" &&
    grep -q 'all done' "$out/upstream" || late; do
    sleep 0.5
done

# results PLACE FILE - a guest's shell may have its prompt before a line
results() { tr -d '\r' < "$2" | sed -n "s/^.*result \([a-z0-9]* .*\)/$1 \1/p"; }
results stub $log-stub.log
results guest $log-g2.log
results g1 $log-g1.log
results dom0 "$out/upstream"
results ours-dom0 "$out/dom0"
grep -hv '^result\|^$' "$out/upstream" "$out/dom0" | sed 's/^/# /' | head -n 20
kill "$ours" "$upstream" 2> /dev/null
for id in 0 "$g2"; do xenstore-rm "/local/domain/$id/data/v-silent" 2> /dev/null; done
for name in stub g2; do xl destroy vchan-$name 2> /dev/null; done
exit 0
