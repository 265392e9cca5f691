-- A service in 30 lines: counts its visitors in the store and greets them over TCP.
--   xenkit run examples/hello.lua port=7777      then: curl telnet://127.0.0.1:7777
local task = require "xenkit.task"

return {
  summary = "Greets whoever connects, and counts them in the store.",
  params = {
    { "port", type = "integer", default = 7777, min = 0, max = 65535, help = "TCP port; 0 takes a free one" },
    { "greeting", default = "hello", help = "what to say" },
  },
  needs = { tcp = { visitors = "127.0.0.1:$port" } },
  start = function(ctx)
    local count = 0
    print("domain " .. ctx.domid .. " waits for visitors")
    while true do
      local s, peer = ctx.tcp.visitors:accept()
      count = count + 1
      ctx.store:write("data/visitors", count)
      task.spawn(function()
        local c <close> = s
        c:write(("%s, visitor %d\n"):format(ctx.params.greeting, count), 5)
        print("greeted " .. peer)
      end)
    end
  end,
}
