-- A Lua prompt on the domain's console, with history, completion and pretty printing. `store`, `world`, `ctx`, `task`,
-- and in a stub domain `kernel`, are at hand.
local prompt = require "xenkit.domain_repl"

return {
  summary = "A Lua prompt on the console.",
  params = {
    { "width", type = "integer", default = 80, min = 20, max = 500, help = "columns of the terminal" },
    { "dumb", type = "boolean", default = false, help = "no line editing, for pipes" },
  },
  start = function(ctx)
    prompt.run(ctx, { width = ctx.params.width, dumb = ctx.params.dumb, ending = "ends the domain" })
  end,
}
