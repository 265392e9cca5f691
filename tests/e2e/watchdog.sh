#!/bin/sh
# Lua code that never gives way is stopped in a hosted domain: the message names the line, other tasks and domains go on.
set -u
build=${1:-build}
tmp=$(mktemp -d) || exit 1
XENKIT_RUNTIME_DIR=$tmp/rt XENKIT_STATE_DIR=$tmp/state
export XENKIT_RUNTIME_DIR XENKIT_STATE_DIR
trap 'timeout 10 "$build/xenkit" down > /dev/null 2>&1; rm -rf "$tmp"' EXIT
n=0 bad=0
ok() { n=$((n + 1)); if [ "$1" = 0 ]; then echo "ok $n - $2"; else echo "not ok $n - $2"; bad=1; fi; }

cat > "$tmp/away.lua" <<'L'
local task = require "xenkit.task"
return { start = function()
  local function runs() local t = task.detach(function() while true do pcall(function() for _ = 1, 1e6 do end end) end end) t:join() end
  print("caught", pcall(runs) == false)
  local co = coroutine.wrap(function()
    while true do end
  end)
  print("nested", select(2, pcall(co)))
  print "well"
  task.sleep(60)
end }
L
printf 'return { domains = { { name = "away", script = "%s", watchdog = 1, restart = "never" } } }\n' "$tmp/away.lua" > "$tmp/w.lua"
timeout 20 "$build/xenkit" up -q -d "$tmp/w.lua"; ok $? "a world comes up"
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
  out=$(timeout 1 "$build/xenkit" console -r away < /dev/null 2>&1)
  case "$out" in *well*) break ;; esac
done
case "$out" in *"away.lua:3: runaway: ran for 1 s"*) true ;; *) echo "# $out"; false ;; esac; ok $? "a loop around pcall is stopped"
case "$out" in *"away.lua:6: runaway"*) true ;; *) false ;; esac; ok $? "and one in a coroutine of its own, by its line"
case "$out" in *well*) true ;; *) false ;; esac; ok $? "the domain goes on"
timeout 10 "$build/xenkit" list > "$tmp/list" && grep -q away "$tmp/list"; ok $? "so does the world"
echo "1..$n"
exit $bad
