-- What a stub domain of ours has from the toolstack: a store, and a console. SPDX-License-Identifier: MIT
local task = require "xenkit.task"

return {
  summary = "Says hello on its console, and in the store what it read there.",
  start = function(ctx)
    print("hello on the console")
    ctx.store:write("data/hello", "I am " .. ctx.store:read "name")
    while not ctx.stopping() do task.sleep(0.05) end
  end,
}
