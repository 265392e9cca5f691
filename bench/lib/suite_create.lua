-- How long a hosted domain takes: from domain 0's decision to create it to its first line of Lua, in a running world
-- (both sides read the same monotonic clock); and from starting `xenkit run FILE` to the first line on its console,
-- which makes a whole world first, beside a plain lua5.4, which isolates nothing and is the limit.
-- SPDX-License-Identifier: MIT
local tools = require("tools")

local SERVICE = [[
return { start = function(ctx)
  ctx.store:write("data/first", ctx.world:now())
  print "first line"
  if ctx.params.stay == "yes" then require("xenkit.task").sleep(60) end
end, params = { { "stay", default = "no" } } }
]]

local function in_a_world(dir, count)
  local x = "XENKIT_RUNTIME_DIR=" .. dir .. "/rt timeout 20 build/xenkit "
  tools.write(dir .. "/w.lua", 'return { name = "bench", domains = {} }\n')
  local _, up = tools.sh(x .. "up -d -q " .. dir .. "/w.lua 2>&1")
  if not up then return tools.fail("no world comes up for the create benchmark") end
  local times = {}
  for i = 1, count do
    tools.sh(("%s create --name d%d %s/first.lua stay=yes"):format(x, i, dir))
    local list = tools.sh(x .. "list --json")
    local created = list:match('"created":([%d.e+]+)[^}]-"name":"d' .. i .. '"')
    local domid = list:match('"domid":(%d+)[^}]-"name":"d' .. i .. '"')
    local first
    for _ = 1, 50 do
      first = domid and tools.sh(("%s store read /local/domain/%s/data/first 2>/dev/null"):format(x, domid))
      if first and first ~= "" then break end
    end
    if created and tonumber(first) then times[#times + 1] = (tonumber(first) - tonumber(created)) * 1e9 end
    tools.sh(x .. "destroy d" .. i)
  end
  tools.sh(x .. "down")
  return times
end

return function(out)
  if not tools.exists("build/xenkit") then return out.note("create", "build/xenkit is not built") end
  local dir, tool = tools.temp(), tools.need("bench_tool")
  local file = tools.write(dir .. "/first.lua", SERVICE)
  local plain = tools.write(dir .. "/plain.lua", 'print("first line")\n')
  tools.sh("chmod 755 " .. dir .. "; mkdir " .. dir .. "/rt")
  local times = in_a_world(dir, tools.quick and 5 or 21)
  local command = tools.our_command("XK_RUN_CMD", "build/xenkit run {file}", { file = file })
  local t = { ours = {}, plain = {} }
  for _ = 1, tools.quick and 5 or 11 do
    for name, c in pairs({ ours = command, plain = "lua5.4 " .. plain }) do
      table.insert(t[name], tools.sample(tool .. " first " .. c)[1])
    end
  end
  local samples = {}
  for i, ns in ipairs(times) do samples[i] = { ns = ns } end
  out.row({ workload = "create to first Lua line (goal < 10 ms)", unit = "ns", key = "ns", ours = samples,
    theirs = t.plain,
    peer = "plain lua5.4", lower_is_better = true })
  out.row({ workload = "xenkit run to first line on console", unit = "ns", key = "ns", ours = t.ours, theirs = t.plain,
    peer = "plain lua5.4", lower_is_better = true })
end
