-- The request/response ring against Xen's own macros. SPDX-License-Identifier: MIT
local tools = require("tools")

local cases = {
  { "polled", "1", "batch 1" },
  { "polled", "32", "batch 32" },
  { "polled", "full", "kept full" },
  { "notified", "1", "batch 1" },
  { "notified", "32", "batch 32" },
  { "notified", "full", "kept full" },
  { "single", "32", "one thread" },
}

local goals = { polled = 0.9, notified = 0.95 }

-- Several processes, as where a program's memory happens to lie counts too.
local function measure(command, processes)
  local t = {}
  for _ = 1, processes do
    for _, r in ipairs(tools.sample(command)) do
      t[r.impl] = t[r.impl] or {}
      table.insert(t[r.impl], r)
    end
  end
  return t
end

-- Instructions of a request and its response: the same on every run and every machine of a kind.
local function instructions(program, impl)
  local function count(n)
    local out = tools.sh(string.format("valgrind --tool=callgrind --callgrind-out-file=/dev/null %s count %s %d 2>&1",
      program, impl, n))
    return tonumber(out:match("Collected : (%d+)")) or tools.fail("callgrind says: %s", out:sub(-300))
  end
  return { { count = (count(3000) - count(1000)) / (2000 * 32) } }
end

return function(out)
  local program = tools.need("ring_bench")
  local ms, rounds, processes = 25, 3, tools.quick and 2 or 5
  for _, case in ipairs(cases) do
    local mode, batch, title = table.unpack(case)
    local t = measure(string.format("%s %s %s %d %d", program, mode, batch, ms, rounds), processes)
    for _, peer in ipairs({ "macros", "bare" }) do
      if t[peer] then
        out.row({ workload = "ring " .. mode .. ", " .. title, unit = "req/s", ours = t.ours, theirs = t[peer],
          peer = peer == "bare" and "ring.h, bare push" or "ring.h",
          goal = peer == "macros" and batch == "32" and goals[mode] or nil })
      end
    end
  end
  if tools.which("valgrind") then
    out.row({ workload = "ring instructions, batch 32 (lower)", unit = "instr/req", key = "count",
      lower_is_better = true, ours = instructions(program, "ours"), theirs = instructions(program, "macros"),
      peer = "ring.h" })
  else
    out.note("ring instructions", "skipped: install valgrind")
  end
end
