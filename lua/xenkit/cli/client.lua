--- Talking to a running world from the command line. @module xenkit.cli.client
local core_stream = require "xenkit.core.stream"
local core_world = require "xenkit.core.world"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local rpc = require "xenkit.rpc"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

--- Names of worlds that run now.
function M.worlds()
  local list = {}
  for _, e in ipairs(files.list(files.runtime_dir()) or {}) do
    if e.dir then
      local fd = host.connect_unix(files.runtime_dir() .. "/" .. e.name .. "/control.sock")
      if fd then
        core_stream.handle_close(fd)
        list[#list + 1] = e.name
      end
    end
  end
  return list
end

-- A world that ended by itself in the background has left its logs.
local function last_words()
  for _, e in ipairs(files.list(files.runtime_dir()) or {}) do
    local path = files.runtime_dir() .. "/" .. e.name .. "/up.log"
    local f = e.dir and io.open(path)
    if f then
      f:close()
      return ("; why '%s' ended stands in %s"):format(e.name, path)
    end
  end
  return ""
end

--- The folder of the world called `name`, or of the only one that runs.
function M.find(name)
  name = name or os.getenv("XENKIT_WORLD")
  if name == "" then name = nil end
  if name and name:find("/", 1, true) then return name end
  local running = M.worlds()
  if name then
    for _, w in ipairs(running) do if w == name then return files.runtime_dir() .. "/" .. w end end
    return nil, "no world '" .. name .. "' runs" ..
      (#running > 0 and "; running: " .. table.concat(running, ", ") or "; start one with `xenkit up FILE`")
  end
  if #running == 1 then return files.runtime_dir() .. "/" .. running[1] end
  if #running == 0 then return nil, "no world runs; start one with `xenkit up FILE`" .. last_words() end
  return nil, "several worlds run: " .. table.concat(running, ", ") .. "; choose one with --world NAME"
end

--- Connects to a world's domain 0. @return a stream
function M.connect(world, dir)
  local fd, err = host.connect_unix(dir .. "/control.sock")
  if not fd then return nil, "cannot reach the world: " .. err end
  return stream.from_handle(world, fd)
end

--- One request on a fresh connection. @return result, or nil, message, code
function M.call(world, dir, method, params, timeout)
  local s <close>, err, code = M.connect(world, dir)
  if not s then return nil, err, code end
  local ok
  ok, err, code = rpc.send(s, { id = 1, method = method, params = params or {} }, 5)
  if not ok then return nil, err, code end
  local r
  r, err, code = rpc.receive(s, timeout or 60)
  if not r then return nil, err, code end
  if r.error then return nil, r.error.message, r.error.code end
  return r.result
end

--- Runs `fn(world)` as a task with a small private world: a loop and nothing else that a tool needs.
function M.run(fn)
  local world = assert(core_world.open(nil, "tool"))
  local results = table.pack(pcall(task.run, world, function() return fn(world) end))
  world:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
