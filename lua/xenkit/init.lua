--- xenkit for a Lua program that is no domain: a private world with nothing to install or start, or a running one.
--
--     local xenkit = require "xenkit"
--     xenkit.run(function(ctx)
--       ctx.store:write("/greeting", "hello")
--       print(ctx.store:read "/greeting")
--     end)
-- @module xenkit
local M = { version = "0.1.0" }

--- Runs `fn(ctx)` as a task in a domain of a private world, or, with opts.world (default $XENKIT_WORLD), of a running
-- one. `ctx` has world, domid, name and store.
-- @param opts world, name
-- @return what `fn` returned; raises its error
function M.run(fn, opts)
  opts = opts or {}
  local core = require "xenkit.core.world"
  local store = require "xenkit.store"
  local task = require "xenkit.task"
  local name = opts.name or "lua"
  local where = opts.world or os.getenv("XENKIT_WORLD")
  local world, err = core.open(where, name)
  if not world then error("xenkit: " .. tostring(err), 2) end
  local ctx = { world = world, domid = world:domid(), name = name }
  local results = table.pack(pcall(task.run, world, function()
    ctx.store = store.open(world)
    return fn(ctx)
  end))
  world:close()
  if not results[1] then error(results[2], 0) end
  return table.unpack(results, 2, results.n)
end

return M
