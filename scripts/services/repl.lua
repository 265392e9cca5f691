-- A Lua prompt on the domain's console, with history, completion and pretty printing. `store`, `world`, `ctx` and
-- `task`
-- are at hand.
local repl = require "xenkit.repl"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

return {
  summary = "A Lua prompt on the console.",
  params = {
    { "width", type = "integer", default = 80, min = 20, max = 500, help = "columns of the terminal" },
    { "dumb", type = "boolean", default = false, help = "no line editing, for pipes" },
  },
  start = function(ctx)
    local console = ctx.console
    local tty = {
      read = function(_, n) return console:read(n) end,
      write = function(_, text) return console:write((text:gsub("\r?\n", "\r\n"))) end,
    }
    local env = setmetatable({ ctx = ctx, store = ctx.store, world = ctx.world, task = task, stream = stream },
      { __index = _G })
    local dumb = ctx.params.dumb
    if dumb then tty.write = function(_, text) return console:write(text) end end
    repl.run(tty, { env = env, width = ctx.params.width, dumb = dumb, prompt = dumb and "" or nil,
      prompt2 = dumb and "" or nil,
      banner = ("xenkit: domain %d, %s on %s. Ctrl-] leaves the console, Ctrl-d ends the domain."):format(ctx.domid,
        _VERSION, ctx.world:platform()),
      help = "store:list '/', store:read PATH, world:domain(ctx.domid), task.sleep(1)" })
  end,
}
