# SPDX-License-Identifier: MIT
# A stub domain on real Xen: small, idle without cost, with a prompt, saved and restored, stopped when it runs away, told
# about when it crashes; and many of them leave nothing behind.
. tests/lab/lib/tap.sh

# image NAME [OPTION...] < script - builds NAME and puts it into dom0
image() {
    name=$1
    shift
    cat > "$tmp/$name.lua"
    "$build/xenkit" build "$tmp/$name.lua" -o "$tmp/$name" --as "/h/$name" "$@" > "$tmp/built" 2>&1 || cat "$tmp/built"
    $lab put "$tmp/$name"
    $lab run "rm -f /var/log/xen/console/guest-$name.log" > /dev/null 2>&1
}
log() { $lab run "cat /var/log/xen/console/guest-$1.log" 2> /dev/null; }

# --- small ---
for form in core full; do
    [ $form = core ] && memory=4 || memory=16
    echo 'return { start = function(ctx) print("up in domain", ctx.domid > 0, ctx.store:read("name")) end }' |
        image "small-$form" --form $form -m $memory
    $lab run "xl create -q /h/small-$form/small-$form.cfg; sleep 1.5" > /dev/null 2>&1
    has "$(log small-$form)" "up in domain	true	small-$form"; ok $? "domain-$form runs in $memory MiB and reads the store"
done

# --- idle ---
echo 'return { start = function() print "idle"; require("xenkit.task").sleep(1000) end }' | image idle -m 4
out=$($lab run -t 60 'xl create -q /h/idle/idle.cfg; sleep 1; xl list idle | tail -1; sleep 5; xl list idle | tail -1
    xl shutdown -w idle > /dev/null 2>&1; xl list' 2> /dev/null)
first=$(echo "$out" | sed -n 1p | awk '{print $NF}') second=$(echo "$out" | sed -n 2p | awk '{print $NF}')
is "$first" "$second"; ok $? "idle for 5 s it uses no processor time ($first s before, $second s after)"
! has "$out" "idle " > /dev/null || [ "$(echo "$out" | grep -c '^idle')" = 2 ]; ok $? "xl shutdown ends it"

# --- a prompt beside a service ---
printf '%s\n' 'local visits = 41' 'return { visits = function() return visits end, start = function(ctx)' \
    'ctx.state = { answer = 42 } require("xenkit.task").sleep(1000) end }' | image prompt --repl
$lab run 'xl create -q /h/prompt/prompt.cfg; sleep 1' > /dev/null 2>&1
cat > "$tmp/talk" <<'T'
(sleep 1; printf 'ctx.state.answer + 0\r'; sleep 1; printf 'store:read "name"\r'; sleep 1; printf 'kernel.stats().ports > 1\r'
 sleep 1; printf 'kern\tgrants_and_more = 7\r'; sleep 1; printf '\033[A\033[A\r'; sleep 1) |
    timeout 12 /usr/lib/xen-4.17/bin/xenconsole --interactive "$(xl domid prompt)"
T
$lab put "$tmp/talk"
out=$($lab run -t 40 'sh /h/talk; xl destroy prompt' 2> /dev/null | tr -d '\r' | sed 's/\x1b\[[0-9;?]*[A-Za-z]//g')
echo "$out" > "$tmp/prompt.out"
has "$out" 42; ok $? "the prompt sees the service's own state"
has "$out" '"prompt"'; ok $? "it reads the store"
has "$out" true; ok $? "it sees what the kernel counts"
has "$out" 'kernel'; ok $? "it completes names"
[ "$(echo "$out" | grep -c '^true')" -ge 2 ]; ok $? "the arrow key brings an earlier line again"

# --- saved and restored ---
printf '%s\n' 'local task = require "xenkit.task"' 'return { start = function(ctx) local last = ctx.world:now()' \
    'for i = 1, 1000 do local now = ctx.world:now() print("step", i, now >= last, ctx.store:write("data/i", i)) last = now' \
    'task.sleep(0.3) end end }' | image travel
out=$($lab run -t 90 'xl create -q /h/travel/travel.cfg; sleep 1.5; old=$(xl domid travel)
    xl save travel /tmp/travel.img > /dev/null 2>&1; echo saved $?; n=$(grep -c step /var/log/xen/console/guest-travel.log)
    xl restore /tmp/travel.img > /dev/null 2>&1; echo restored $?; sleep 2; new=$(xl domid travel); echo domid $((new > old))
    m=$(grep -c step /var/log/xen/console/guest-travel.log); echo more $((m > n + 2)); xenstore-read /local/domain/$new/data/i
    xl shutdown -w travel > /dev/null 2>&1; echo ended $?; grep -c false /var/log/xen/console/guest-travel.log; rm /tmp/travel.img' 2>&1)
has "$out" "saved 0" && has "$out" "restored 0"; ok $? "xl save and restore"
has "$out" "domid 1" && has "$out" "more 1"; ok $? "it goes on as another domain, its clock never back"
has "$out" "ended 0"; ok $? "the store's watch works after it: xl shutdown ends it"

# --- running away ---
printf '%s\n' 'local task = require "xenkit.task"' 'return { start = function()' \
    'local t = task.detach(function()' '  while true do end' 'end)' 'pcall(t.join, t) print "still well" end }' |
    image runaway --watchdog 1
$lab run -t 30 'xl create -q /h/runaway/runaway.cfg; sleep 4' > /dev/null 2>&1
out=$(log runaway)
has "$out" 'runaway.lua:4: runaway'; ok $? "an endless loop is stopped, and its line told"
has "$out" 'still well'; ok $? "the rest goes on"

# --- crashes ---
strip -o "$tmp/crash" "$build/guest/crash"
$lab put "$tmp/crash" "$build/xenkit-kernel.boot"
for way in wild_write:break_by_wild_write division:break_by_dividing jump_0:break_by_jump_to_0 \
    stack:break_by_stack_overflow; do
    printf 'name="crash"\ntype="pvh"\nkernel="/h/xenkit-kernel.boot"\nramdisk="/h/crash"\nmemory=8\nvcpus=1\nextra="%s"\n' \
        "${way%:*}" > "$tmp/crash.cfg"
    printf 'on_crash="destroy"\non_reboot="destroy"\ntsc_mode="native"\n' >> "$tmp/crash.cfg"
    $lab put "$tmp/crash.cfg"
    $lab run 'xl dmesg -c > /dev/null; xl create -q /h/crash.cfg; sleep 1; xl list > /tmp/list; cat /tmp/list; xl dmesg' \
        > "$tmp/report" 2>&1
    out=$("$build/xenkit" symbolize --program "$build/guest/crash" "$tmp/report" 2>&1)
    has "$out" "${way#*:}"; ok $? "${way%:*}: xl dmesg has the report, symbolize names the place"
    ! grep -q '^crash ' "$tmp/report"; ok $? "${way%:*}: the domain is gone, dom0 is well"
done

# --- many ---
rounds=10
[ -z "$XK_LONG" ] || rounds=200
cat > "$tmp/many" <<'T'
count() { xl info | sed -n 's/^free_memory *: *//p'; xl dmesg -c > /dev/null; xl debug-keys g; xl debug-keys e
    xl dmesg | grep -c 's=[35]'; xl list | wc -l; }
count > /tmp/before
i=0 bad=0
while [ $i -lt "$1" ]; do
    xl create -q /h/idle/idle.cfg 2> /dev/null || bad=$((bad + 1))
    xl destroy idle 2> /dev/null || bad=$((bad + 1))
    i=$((i + 1))
done
sleep 1
count > /tmp/after
echo "bad $bad"; diff /tmp/before /tmp/after && echo same
T
$lab put "$tmp/many"
out=$($lab run -t 300 "sh /h/many 2 > /dev/null; sh /h/many $rounds" 2>&1)
has "$out" "bad 0"; ok $? "$rounds creates and destroys"
has "$out" "same"; ok $? "free memory, grants and ports of Xen are as before"
finish
