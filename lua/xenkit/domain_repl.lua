--- The Lua prompt on a domain's console: as a service of its own (scripts/services/repl.lua), or beside another service
-- (`repl = true` in a domain's description), whose state it then sees as `service` and `ctx`.
-- @module xenkit.domain_repl
local repl = require "xenkit.repl"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

-- The console's bytes as a terminal; its object may change around a suspend.
local function terminal(ctx, dumb)
  return {
    read = function(_, n) return ctx.console:read(n) end,
    write = function(_, text) return ctx.console:write(dumb and text or (text:gsub("\r?\n", "\r\n"))) end,
  }
end

--- Serves the prompt until the user leaves.
-- @param opts width, dumb, ending = what Ctrl-d does, in words
function M.run(ctx, opts)
  local kernel = ctx.world:platform() == "stub" and require("xenkit.core.stub") or nil
  local env = setmetatable({ ctx = ctx, service = ctx.service, store = ctx.store, world = ctx.world, task = task,
    stream = stream, kernel = kernel }, { __index = _G })
  return repl.run(terminal(ctx, opts.dumb), { env = env, width = opts.width, dumb = opts.dumb,
    prompt = opts.dumb and "" or nil, prompt2 = opts.dumb and "" or nil,
    banner = ("xenkit: domain %d, %s on %s. Ctrl-] leaves the console, Ctrl-d %s."):format(ctx.domid, _VERSION,
      ctx.world:platform(), opts.ending),
    help = "store:list '/', store:read PATH, world:domain(ctx.domid), task.sleep(1)" ..
      (kernel and ", kernel.stats() for memory, grants and ports" or "") })
end

--- Beside a service: after Ctrl-d the prompt comes again with the next key.
function M.beside(ctx)
  while ctx.console do
    if not M.run(ctx, { width = 80, ending = "shows this line again" }) then task.sleep(1) end
  end
end

return M
