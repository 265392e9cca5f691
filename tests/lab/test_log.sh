# SPDX-License-Identifier: MIT
# The log service on real Xen: log domain and speaker are stub domains, the reader is in dom0. Records, a level set at run
# time, last words of a domain that was destroyed, and what a ring gives to a log domain that starts later.
. tests/lab/lib/tap.sh
export LD_LIBRARY_PATH=

$lab put "$build/xenkit" "$build/xenkit-domain" "$build/xenkit-domain-core.boot" "$build/xenkit-domain.boot" \
    "$build/xenkit-kernel.boot" scripts/services/log.lua tests/e2e/lib/log_talker.lua
cat > "$tmp/in_dom0.sh" << 'DOM0'
export LD_LIBRARY_PATH=/h/lib PATH=/h:$PATH
cd /tmp
log() { timeout 20 xenkit log --on xen "$@" 2>&1; }
start_log() { xenkit create --on xen --name log -m 24 /h/log.lua all_kib=4096 > /tmp/log.out 2>&1 || cat /tmp/log.out; }
tell() { # WORDS
    xenstore-rm /local/domain/$id/data/done 2> /dev/null
    xenstore-write /local/domain/$id/data/cmd "$1"
    for _ in $(seq 100); do
        [ "$(xenstore-read /local/domain/$id/data/done 2> /dev/null)" != "${1%% *}" ] || return 0
        sleep 0.1
    done
    echo "not done: $1"
}
until_said() { # TEXT [DOMAIN] - waits until the log has it
    for _ in $(seq 60); do
        case "$(log "${2:-talker}")" in *"$1"*) return 0 ;; esac
        sleep 0.25
    done
}
start_log
xenkit create --on xen --name talker /h/log_talker.lua > /tmp/create.out 2>&1 || cat /tmp/create.out
id=$(xl domid talker)
until_said "early word"; echo "A $(log talker)"
tell "say from a stub domain"; until_said "from a stub"; echo "B $(log talker --tail 1 --json)"
log --set-level debug talker --source net; sleep 0.5
tell debug; until_said "texts made"; echo "C $(log talker --level debug --source net)"
tell "flood 5000"; tell "say after the flood"; until_said "after the flood"
echo "D $(log --stats --json)"
xl destroy log; start_log
until_said "after the flood"; echo "E $(log talker --tail 1)"
xenkit create --on xen --name mover /h/log_talker.lua > /dev/null 2>&1
for _ in $(seq 40); do case "$(log mover)" in *"early word"*) break ;; esac; sleep 0.25; done
xl save mover /tmp/mover.save > /dev/null 2>&1 && xl restore /tmp/mover.save > /dev/null 2>&1
mover=$(xl domid mover)
until_said resumed "$mover"; echo "S $(log "$mover") moved"
xl destroy mover
xenstore-write /local/domain/$id/data/cmd "hang 3"; sleep 2
xl destroy talker
until_said "nothing after this"; echo "F $(log talker --tail 4)"
for _ in $(seq 40); do xl list | grep -q "^(null)\|talker" || break; sleep 0.25; done
echo "G $(xl list | tail -n +2 | wc -l) $(xl list | grep -c '^(null)')"
xl destroy log
DOM0
$lab put "$tmp/in_dom0.sh"
$lab run -t 110 'sh /h/in_dom0.sh' > "$tmp/said" 2>&1
part() { awk -v p="$1" '/^[A-Z] /{on=($1==p)} on' "$tmp/said"; }
has "$(part A)" "info    talker: early word"; ok $? "a stub domain's early word is in the log of another"
has "$(part B)" '"text":"from a stub domain"' && has "$(part B)" '"domain":"talker"'; ok $? "a record, with the name of its domain"
has "$(part C)" "debug   talker[net.tcp]: in detail"; ok $? "a level that was set reaches it"
out=$(part D | tr '{' '\n' | grep '"name":"talker"')
got=$(echo "$out" | sed -n 's/.*"received":\([0-9]*\).*/\1/p') lost=$(echo "$out" | sed -n 's/.*"lost":\([0-9]*\).*/\1/p')
is $((${got:-0} + ${lost:-0})) 5005 && [ "${lost:-0}" -gt 0 ]; ok $? "a flood, counted: ${got:-0} received + ${lost:-0} lost = 5005"
has "$(part E)" "after the flood" && has "$(part E)" "[from its ring]"; ok $? "a log domain that starts later reads its ring"
has "$(part S)" "resumed moved" && ! has "$(part S)" "early word" > /dev/null && ! has "$(part S)" lost > /dev/null
ok $? "after xl save and restore a domain goes on, under its new number, and repeats nothing"
has "$(part F)" "last word 3" && is "$(part F | grep -c 'last words\]')" 4; ok $? "destroyed while it hung: its last words"
has "$(part G)" "G 2 0"; ok $? "and then nothing holds the dead domain"
[ "$tap_bad" = 0 ] || sed 's/^/# /' "$tmp/said"
finish
