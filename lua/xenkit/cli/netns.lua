--- `xenkit netns`: this process becomes another program in a world's network. @module xenkit.cli.netns
local host = require "xenkit.core.host"

local M = {}

-- As a shell finds it.
local function find(name)
  if name:find("/", 1, true) then return host.open(name, "r") end
  for dir in (os.getenv "PATH" or "/usr/bin:/bin"):gmatch "[^:]+" do
    local fd = host.open(dir .. "/" .. name, "r")
    if fd then return fd end
  end
  return nil, name .. ": there is no such program"
end

function M.run(pid, words, fail)
  if #words == 0 then words = { os.getenv "SHELL" or "/bin/sh" } end
  local program, err = find(words[1])
  if not program then return fail(err, 127) end
  local ok
  ok, err = host.enter_net(pid)
  if not ok then return fail("the network of process " .. pid .. ": " .. err) end
  local _, why = host.exec(program, words, {})
  return fail(words[1] .. ": " .. why, 126)
end

return M
