-- Does what its node data/cmd says, one word a time, for tests/e2e/log.sh: "say TEXT", "flood N", "hang" (speaks, then
-- never gives way again, so that nothing leaves it), "crash", "debug" (how it sees its levels), "end".
local task = require "xenkit.task"

local commands = {}

function commands.say(ctx, text) ctx.log("info", text, { length = #text }) end

function commands.flood(ctx, n)
  local net = ctx.log.source "net"
  for i = 1, math.tointeger(n) do net.info("flood", { i = i }) end
end

-- As flood, but gives way, so that the queue empties meanwhile.
function commands.stream(ctx, n)
  for i = 1, math.tointeger(n) do
    ctx.log("info", "stream", { i = i })
    if i % 100 == 0 then task.sleep(0.002) end
  end
end

function commands.hang(ctx, n)
  for i = 1, math.tointeger(n) do ctx.log("error", "last word " .. i) end
  ctx.log("error", "nothing after this")
  while true do end
end

function commands.crash(ctx)
  ctx.log("warning", "about to fail")
  error("it fails here")
end

function commands.debug(ctx)
  local made = 0
  local text = function()
    made = made + 1
    return "in detail"
  end
  ctx.log.debug(text)
  ctx.log.source("net.tcp").debug(text)
  ctx.log("info", "texts made: " .. made)
end

return {
  summary = "Logs what it is told to.",
  start = function(ctx)
    ctx.log("info", "early word")
    function ctx.on_resume() ctx.log("info", "resumed") end
    local w = assert(ctx.store:watch "data/cmd")
    while true do
      local word, rest = (ctx.store:read "data/cmd" or ""):match("^(%a+) ?(.*)$")
      if word then ctx.store:write("data/cmd", "") end
      if word == "end" then return end
      if word then
        commands[word](ctx, rest)
        ctx.store:write("data/done", word)
      end
      w:next()
    end
  end,
}
