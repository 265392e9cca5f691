-- Has its address from DHCP, and asks the greeter every second.
local task = require "xenkit.task"

return {
  summary = "Visits the greeter, by UDP.",
  params = { { "to", default = "10.9.0.2", help = "the greeter's address" } },
  start = function(ctx)
    local net, to = ctx.net.lan, ctx.params.to
    print("visitor at " .. assert(net:up(20)))
    local socket <close> = assert(net:udp())
    while true do
      socket:send(ctx.name, to, 7000)
      local answer = socket:receive(1)
      local took = net:ping(to, 1)
      ctx.log("info", answer or "nobody answers", { us = took and math.floor(took * 1e6) })
      ctx.store:write("data/answer", answer or "")
      task.sleep(1)
    end
  end,
}
