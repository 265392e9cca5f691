-- Linux guests on real Xen, in the lab: their disk and network on our back ends in dom0 and in a stub domain, and on the
-- kernel's in dom0. The emulated machine's clock counts instructions, of all domains, 2 ns for each: what else the host does
-- changes nothing, and rates compare with each other only. Processor time is dom0's and the stub domain's.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

local WORKLOADS = {
  disk = { "Xen: disk of a Linux guest, 4 KiB reads, depth 32", "the same, depth 1", "the same, writes, depth 32",
    "the same, 64 KiB reads" },
  net = { "Xen: TCP between two Linux guests", "the same, the other way", "the same, segments of 500 bytes" },
}

return function(out)
  if not tools.exists("build/xenkit") then return out.note("lab", "build/xenkit is not built") end
  local dir = tools.temp()
  local env = ("cd %s && XK_LAB_ICOUNT=1 XK_LAB_QUIET=1 XK_LAB_DIR=%s/lab XK_LAB_CACHE=%s lab=scripts/lab build=build seconds=%d "):format(
    tools.quote(tools.root), dir, tools.quote(os.getenv("XK_LAB_CACHE") or tools.root .. "/build/lab/cache"),
    tools.quick and 2 or 3)
  local function load(words) return tools.sh(env .. "sh bench/lib/lab_load.sh " .. words .. " 2>&1") end
  local said, up = load "up"
  if not up then return out.note("lab", "skipped: " .. (said:match("[^\n]+") or "no lab")) end
  for _, kind in ipairs({ "disk", "net" }) do
    local t = { ours = {}, stub = {}, linux = {} }
    for _ = 1, tools.quick and 1 or 2 do
      for _, whose in ipairs({ "ours", "stub", "linux" }) do
        local text = load(kind .. " " .. whose)
        local records = tools.records(text)
        if #records ~= #WORKLOADS[kind] then
          load "down"
          return tools.fail("the %s benchmark with %s back end said: %s", kind, whose, text:sub(1, 600))
        end
        for i, r in ipairs(records) do
          t[whose][i] = t[whose][i] or {}
          table.insert(t[whose][i], r)
        end
      end
    end
    for _, place in ipairs({ { "ours", "" }, { "stub", ", from a stub domain" } }) do
      for i, title in ipairs(WORKLOADS[kind]) do
        out.row({ workload = title .. place[2], unit = kind == "disk" and "op/s" or "bit/s", ours = t[place[1]][i],
          theirs = t.linux[i], peer = kind == "disk" and "xen-blkback" or "xen-netback, bridge" })
      end
    end
  end
  load "down"
end
