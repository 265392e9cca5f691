--- TCP for stub domains until they have a network of their own: domain 0 listens, and brings each connection to the
-- domain by a flow (`tcp-NAME`), its first line saying who it is. A vchan has no half-close, so a visitor that stops
-- sending gets the rest of the answer, but the service does not see the end of what it sent.
-- @module xenkit.host.gateway
local flow = require "xenkit.flow"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local CONNECT, LINGER = 15, 30 -- seconds

local function bring(ctx, domid, name, conn, peer)
  local c <close> = conn
  local s, err = flow.connect_to(ctx, domid, "tcp-" .. name, CONNECT)
  if not s then return ctx.log("no way to tcp." .. name .. ": " .. tostring(err)) end
  local t <close> = s
  if not t:write(peer .. "\n", CONNECT) then return end
  local up = task.spawn(function()
    stream.copy(c, t)
    task.sleep(LINGER)
    t:close()
  end)
  stream.copy(t, c)
  up:cancel()
end

local function accept(ctx, domid, name, listener)
  while true do
    local conn, peer = listener:accept()
    if not conn then return end
    task.detach(bring, ctx, domid, name, conn, peer)
  end
end

local function is_there(ctx, domid)
  local info = ctx.world:domain(domid)
  return info and info.state ~= "dying" and info.state ~= "shutdown"
end

--- Serves until the domain is gone. Called within a task.
-- @param ctx world, store, domid, log(text)
-- @param listeners name -> listening descriptor
function M.serve(ctx, domid, listeners)
  function task.on_error(err) ctx.log(tostring(err)) end
  local tasks = {}
  for name, handle in pairs(listeners) do
    tasks[#tasks + 1] = task.detach(accept, ctx, domid, name, assert(stream.listener(ctx.world, handle)))
  end
  local w = ctx.store:watch("@releaseDomain")
  while is_there(ctx, domid) do w:next(10) end
  for _, t in ipairs(tasks) do t:cancel() end
end

return M
