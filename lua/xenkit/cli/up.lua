--- `xenkit up` and `xenkit run`: this process becomes domain 0 of a world. @module xenkit.cli.up
local builder = require "xenkit.host.builder"
local control = require "xenkit.host.control"
local core_stream = require "xenkit.core.stream"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local stream = require "xenkit.stream"
local task = require "xenkit.task"
local toolstack = require "xenkit.host.toolstack"

local M = {}

--- The text of a built-in service.
local function builtin(name)
  local loader = package.preload["xenkit.services." .. name]
  if not loader then return nil end
  return require("xenkit.core.embedded")("xenkit.services." .. name)
end

local function claim(dir)
  local ok, err = host.mkdir(dir)
  if not ok then return nil, err end
  local lock, e = host.open(dir .. "/lock", "rw")
  if not lock then return nil, e end
  local held, _, code = host.lock(lock)
  if not held then
    core_stream.handle_close(lock)
    return nil, code == "XK_EBUSY" and "a world runs in " .. dir .. " already" or code
  end
  return lock
end

local CONSOLE_LOGS = 100 -- rotated ones, at most
local SOCKETS = { "store.sock", "join", "control.sock", "lock" }

local function sweep(dir, keep_log)
  for _, name in ipairs(SOCKETS) do os.remove(dir .. "/" .. name) end
  for _, name in ipairs { "store.state", "store.journal.a", "store.journal.b" } do os.remove(dir .. "/" .. name) end
  if not keep_log then
    os.remove(dir .. "/stderr.log")
    os.remove(dir .. "/console.log")
    for i = 1, CONSOLE_LOGS do os.remove(dir .. "/console.log." .. i) end
  end
  host.rmdir(dir)
end

local function wait_signal(world, fd)
  local s = stream.listener(world, fd)
  while true do
    local n = host.signal_next(fd)
    if n and n ~= 28 then return n end -- not a change of the window's size
    local id = task.wait_id()
    s.raw:arm(id)
    task.wait(id)
  end
end

--- Runs a world until it is told to stop.
-- @param spec {name, domains}
-- @param opts dir, log(level, text), ready(T), until_ended = name of a domain whose end ends the world, keep_log,
-- keep_logs_of_failure
-- @return exit code
function M.run(spec, opts)
  local dir = opts.dir
  local lock, err = claim(dir)
  if not lock then return nil, err end
  local program, e = builder.program {}
  if not program then return nil, e end
  local signals = assert(host.signals())
  local join, control_fd
  join, e = host.listen_unix(dir .. "/join", "seqpacket")
  if join then control_fd, e = host.listen_unix(dir .. "/control.sock") end
  if not join or not control_fd then
    sweep(dir)
    return nil, e
  end
  local stderr_log = assert(host.open(dir .. "/stderr.log", "a"))
  host.raise_nofile()
  local hyp, world = host.hypervisor(join, stderr_log)
  if not hyp then return nil, world end
  local T = toolstack.new(world, program, { dir = dir, source = builtin, log = opts.log or function() end,
    name = spec.name })
  local code, failure = 0, nil
  local ok, why = pcall(task.run, world, function()
    function task.on_error(problem) T:event("error", "domain 0", tostring(problem)) end
    local helpers = {}
    local good, problem = T:up(spec.domains)
    if good then
      helpers[1] = task.detach(control.serve, T, control_fd)
      helpers[2] = task.detach(control.serve_domains, T)
      helpers[3] = task.detach(function()
        wait_signal(world, signals)
        T.down_asked = true
      end)
      helpers[4] = task.detach(function() T:watch() end)
      if opts.ready then opts.ready(T) end
      while not T.down_asked and not T.failed do
        task.sleep(0.05)
        if opts.until_ended and not T.by_name[opts.until_ended] then
          code = T.last_exit or 0
          break
        end
      end
      failure = T.failed
    else
      failure = problem
    end
    if opts.ended then opts.ended(T) end
    for _, h in ipairs(helpers) do h:cancel() end
    T:down()
  end)
  world:close()
  hyp:close()
  if not ok then failure = tostring(why) end
  sweep(dir, opts.keep_log or (failure and opts.keep_logs_of_failure))
  if failure then return nil, failure end
  return code
end

M.builtin = builtin
M.files = files
return M
