-- A domain whose network has a way out: an address from whoever gives one there, an echo on port 7, a question asked of
-- the outside; tells in the store how that went.
local task = require "xenkit.task"

return {
  summary = "Uses a network with a way out.",
  params = {
    { "ask", default = "", help = "ADDRESS of a DNS server" },
    { "port", type = "integer", default = 53, help = "its port" },
    { "name", default = "\4demo\4test", help = "what is asked for, as labels" },
  },
  start = function(ctx)
    local p, net = ctx.params, ctx.net.lan
    local function tell(name, value) ctx.store:write("data/" .. name, value) end
    local address, err = net:up(20)
    tell("address", address or err)
    local echo = assert(net:udp(7))
    task.spawn(function()
      while true do
        local data, from, port = echo:receive()
        tell("from", from)
        echo:send(data, from, port)
      end
    end)
    task.spawn(function()
      local six, why = net:up6(20)
      tell("six", six or why)
    end)
    if p.ask ~= "" then
      local socket <close> = assert(net:udp())
      local query = "\18\52\1\0\0\1\0\0\0\0\0\0" .. p.name .. "\0\0\1\0\1"
      local answer
      for _ = 1, 10 do
        socket:send(query, p.ask, p.port)
        answer = socket:receive(1)
        if answer then break end
      end
      tell("answer", answer and ("%d bytes, %d"):format(#answer, answer:byte(4) & 15) or "none")
    end
    task.sleep(100000)
  end,
}
