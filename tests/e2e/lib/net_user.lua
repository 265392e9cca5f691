-- Takes its network up, answers datagrams on port 7, and asks another one, if it is told to, for as long as it runs;
-- tells in the store how far it is.
local task = require "xenkit.task"

local SIZES = { 0, 1, 100, 1472, 1473, 9000, 60000 }

return {
  summary = "Uses a network.",
  params = {
    { "to", default = "", help = "whose echoes are asked for; dhcp: the DHCP server's" },
    { "to6", default = "", help = "and by IPv6; empty: nobody's" },
  },
  start = function(ctx)
    local store, to = ctx.store, ctx.params.to
    local function tell(name, value) store:write("data/" .. name, value) end
    local net = ctx.net.lan or ctx.net[0]
    local address, err, code = net:up(20)
    tell("address", address or code .. " " .. err)
    if not address then return 1 end
    tell("mac", net:info().mac)
    local echo = assert(net:udp(7))
    task.spawn(function()
      while true do
        local data, from, port = echo:receive()
        echo:send(data, from, port)
      end
    end)
    if ctx.params.to6 ~= "" then
      task.spawn(function() -- an address of this link alone is enough for a group's echoes
        local own, why
        if not ctx.params.to6:match "^ff02:" then own, why = net:up6(20) else task.sleep(3) end
        local sure, n = 0, 0
        for _, size in ipairs { 0, 56, 1452, 1453, 9000, 30000 } do
          for _ = 1, 3 do
            n = n + 1
            if net:ping(ctx.params.to6, 1, size) then sure = sure + 1 end
          end
        end
        tell("six", ("%s %d of %d"):format(own or why or "local", sure, n))
      end)
    end
    if to == "dhcp" then to = net:lease().server end
    if to == "" then return task.sleep(100000) end
    local socket = assert(net:udp())
    local round, wrong, lost, lost_in_row, pings = 0, 0, 0, 0, 0
    while not ctx.stopping() do
      local took = net:ping(to, 0.3)
      if took then tell("ping", ("%.6f"):format(took)) else lost = lost + 1 end
      for _, n in ipairs { 0, 1400, 9000, 30000 } do
        if net:ping(to, 0.3, n) then pings = pings + 1 else lost = lost + 1 end
      end
      for _, n in ipairs(SIZES) do
        local data = ("%08d"):format(round):rep(n // 8 + 1):sub(1, n)
        local got
        if socket:send(data, to, 7) then
          repeat got = socket:receive(0.3) until not got or #got == n
        end
        if got and got ~= data then wrong = wrong + 1 end
        if got then lost_in_row = 0 else lost, lost_in_row = lost + 1, lost_in_row + 1 end
      end
      round = round + 1
      tell("pings", pings)
      tell("wrong", wrong)
      tell("lost", lost)
      tell("row", lost_in_row)
      local s = net.device:stats()
      tell("queues", ("%s; hash %s; keep %s %d"):format(table.concat(s.received, " "), s.hash, s.keep, s.kept))
      tell("round", round)
      task.sleep(0.01)
    end
  end,
}
