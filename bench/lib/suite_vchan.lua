-- vchan between two hosted guests, each a process, against libxenvchan over a shim, a unix socket pair and a pipe.
-- CPU is of both sides together, per KiB or per round trip. SPDX-License-Identifier: MIT
local tools = require("tools")

local streams = { { 2048, 1024, "2 KiB ring, 1 KiB blocks" }, { 65536, 4096, "64 KiB ring, 4 KiB blocks", 3 },
  { 1048576, 65536, "1 MiB ring, 64 KiB blocks" } }

return function(out)
  local ours, rounds = tools.need("vchan_bench"), tools.quick and 3 or 7
  local peer, why = tools.program("vchan_peer")
  local shim = tools.program("vchan_shim.so")
  local commands = { { "ours", ours .. " ours" }, { "unix", ours .. " unix" }, { "pipe", ours .. " pipe" } }
  if peer and shim then
    table.insert(commands, 2, { "libxenvchan", string.format("env LD_PRELOAD=%s %s libxenvchan", shim, peer) })
  else
    out.note("vchan against libxenvchan", "skipped: install libxen-dev; " .. (why or "no shim"))
  end

  local function measure(words, environment)
    local t = {}
    for _ = 1, rounds do
      for _, c in ipairs(commands) do
        t[c[1]] = t[c[1]] or {}
        table.insert(t[c[1]], tools.sample(environment .. c[2] .. " " .. words)[1])
      end
    end
    return t
  end

  local function rows(title, t, spec)
    for i = 2, #commands do
      local name = commands[i][1]
      out.row({ workload = title, unit = spec.unit, key = spec.key, ours = t.ours, theirs = t[name], peer = name,
        cpu_scale = spec.cpu_scale, lower_is_better = spec.lower, goal = name == "libxenvchan" and spec.goal or nil })
    end
  end

  local ms = tools.quick and 80 or 150
  for _, s in ipairs(streams) do
    local t = measure(string.format("stream %d %d %d", s[1], s[2], ms), "")
    rows(s[3], t, { unit = "B/s", cpu_scale = 1024, goal = s[4] })
  end
  local echo = measure("echo 65536 64 " .. ms, "")
  rows("echo 64 B, p50 (lower)", echo, { unit = "ns", key = "p50", lower = true })
  rows("echo 64 B, p99 (lower)", echo, { unit = "ns", key = "p99", lower = true })

  -- When both sides share a processor spinning gains nothing and must not cost.
  local one = "env XK_BENCH_ONE_CPU=1 "
  local stream = measure("stream 65536 4096 " .. ms, one)
  rows("one CPU: 64 KiB ring, 4 KiB blocks", stream, { unit = "B/s", cpu_scale = 1024 })
  echo = measure("echo 65536 64 " .. ms, one)
  rows("one CPU: echo 64 B, p50 (lower)", echo, { unit = "ns", key = "p50", lower = true })
end
