-- Answers datagrams on port 7000.
return {
  summary = "Greets whoever asks, by UDP.",
  start = function(ctx)
    local net = ctx.net.lan
    print("greeter at " .. assert(net:up(20)))
    local socket <close> = assert(net:udp(7000))
    while true do
      local name, from, port = assert(socket:receive())
      socket:send("hello, " .. name, from, port)
    end
  end,
}
