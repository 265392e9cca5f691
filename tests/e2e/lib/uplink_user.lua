-- A domain whose network has a way out: an address from whoever gives one there, an echo on port 7, a question asked of
-- the outside; tells in the store how that went.
local resolve = require "xenkit.resolve"
local task = require "xenkit.task"

return {
  summary = "Uses a network with a way out.",
  params = {
    { "ask", default = "", help = "ADDRESS of a DNS server" },
    { "port", type = "integer", default = 53, help = "its port" },
    { "name", default = "demo.test", help = "what is asked for" },
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
    local six, no_six = net:up6(20)
    tell("six", six or no_six)
    if p.ask ~= "" then
      local list, why
      for _ = 1, 10 do -- the server may not be up yet
        list, why = resolve.lookup(net, p.name, { servers = { p.ask }, port = p.port, tries = 1 })
        if list then break end
      end
      tell("answer", list and table.concat(list, " ") .. " " .. why or why)
      local _, _, code = resolve.lookup(net, "no." .. p.name, { servers = { p.ask }, port = p.port })
      tell("nobody", code)
      list, why = resolve.lookup(net, "demo", { servers = { "10.0.2.77", p.ask }, port = p.port, domain = "test",
        timeout = 100 })
      tell("short", list and list[1] or why)
    end
    task.sleep(100000)
  end,
}
