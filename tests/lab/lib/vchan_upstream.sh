# SPDX-License-Identifier: MIT
# Upstream's ends for tests/lab/test_vchan.sh: sh vchan_upstream.sh PLACE PLAN PEER-PROGRAM, in dom0 or a Linux guest. Goes
# through its lines of the plan and prints "result ID good" or "result ID bad: ...".
place=$1 plan=$2 program=$3
until told=$(xenstore-read data/v-peers 2> /dev/null); do sleep 0.1; done

domid() { for word in $told; do case $word in "$1"=*) echo "${word#*=}" ;; esac; done; }

# As ours is asked to be a server or a client, this end is the other.
own_path() { [ "$2" = server ] && echo "/local/domain/$(domid "$1")/data/v/$3" || echo "data/v/$3"; }
own_role() { [ "$1" = server ] && echo client || echo server; }

# Upstream's proxy between a vchan and two fifos. Descriptor 9 keeps its input open, so that a killed peer is not an end.
proxy() {
    fifo=/tmp/vchan-$id
    mkfifo "$fifo.in" "$fifo.out"
    vchan-socket-proxy -m "$(own_role "$role")" "$(domid "$ours")" "$(own_path "$ours" "$role" "$id")" - \
        < "$fifo.in" > "$fifo.out" 2> "$fifo.err" &
    proxy=$!
    exec 9> "$fifo.in"
    (exec 9>&-; exec "$program" pipe "$jobs" < "$fifo.out" > "$fifo.in" 2> "$fifo.said")
    [ "$jobs" != die ] || { kill -9 "$proxy"; echo killed > "$fifo.said"; }
    exec 9>&-
    wait "$proxy"
    cat "$fifo.said" "$fifo.err" | tail -n 1
    rm -f "$fifo".*
}

peer() {
    "$program" "$(own_role "$role")" "$(domid "$ours")" "$(own_path "$ours" "$role" "$id")" "$left" "$right" "$jobs"
    [ "$jobs" != die ] || echo killed
}

while read -r id ours upstream role kind left right jobs; do
    [ "$upstream" = "$place" ] || continue
    case $kind in
    proxy) said=$(proxy 2> /dev/null) ;;
    persist) said=$(for _ in 1 2 3; do peer; done | sort -u) ;;
    *) case $jobs in
        silent) peer > /dev/null 2>&1 & continue ;;
        *) said=$(peer 2> /dev/null) ;;
        esac ;;
    esac
    echo "result $id $said"
done < "$plan"
echo "result all done"
