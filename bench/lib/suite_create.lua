-- From starting `xenkit run FILE` to the first line that FILE prints; beside it a plain lua5.4, which isolates nothing
-- and is the limit. XK_RUN_CMD starts ours; {file} is replaced. SPDX-License-Identifier: MIT
local tools = require("tools")

return function(out)
  local dir, tool = tools.temp(), tools.need("bench_tool")
  local file = tools.write(dir .. "/first.lua", 'print("first line")\n')
  tools.sh("chmod 755 " .. dir)
  local command, why = tools.our_command("XK_RUN_CMD", "build/xenkit run {file}", { file = file })
  if not command then
    return out.note("create", why)
  end
  local t = { ours = {}, plain = {} }
  for _ = 1, tools.quick and 5 or 21 do
    for name, c in pairs({ ours = command, plain = "lua5.4 " .. file }) do
      table.insert(t[name], tools.sample(tool .. " first " .. c)[1])
    end
  end
  out.row({ workload = "create: to the first line (lower)", unit = "ns", key = "ns", ours = t.ours, theirs = t.plain,
    peer = "plain lua5.4", lower_is_better = true })
end
