-- Two switches, and two domains that meet at the first one: `greeter` answers on UDP port 7000, `visitor` asks every
-- second. `xenkit move greeter lan --back net2` lets it stand at the second switch, where nobody is; `xenkit move
-- visitor lan --back net2` follows.
local params = { address = "10.9.0.1/24", dhcp = "10.9.0.100-10.9.0.199" }

return {
  name = "net",
  domains = {
    { name = "log", service = "log" },
    { name = "net", service = "net", params = params, restart = "always" },
    { name = "net2", service = "net", params = params, restart = "always" },
    { name = "greeter", script = "net_greeter.lua", vifs = { lan = { back = "net", address = "10.9.0.2/24" } } },
    { name = "visitor", script = "net_visitor.lua", params = { to = "10.9.0.2" }, vifs = { lan = { back = "net" } } },
  },
}
