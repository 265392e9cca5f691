-- A hundred tasks use the store at once: each writes a node and must read back its own value.
local task = require "xenkit.task"

local function one(store, i)
  local path, value = "data/overlap/" .. i, ("value %d "):format(i):rep(1 + i % 7)
  return store:write(path, value) and store:read(path) == value
end

return {
  start = function(ctx)
    local good, left = 0, 100
    for i = 1, left do
      task.spawn(function()
        if one(ctx.store, i) then good = good + 1 end
        left = left - 1
      end)
    end
    local limit = ctx.world:now() + 10
    while left > 0 and ctx.world:now() < limit do task.sleep(0.05) end
    ctx.store:rm("data/overlap")
    print(("store: %d of 100 good"):format(good))
    if left > 0 then os.exit(1) end -- the rest hang
  end,
}
