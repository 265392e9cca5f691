-- xenkit.net and xenkit.vifs: two stacks at one switch, both halves of a vif in one private world.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit.net", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local core_inet = require "xenkit.core.inet"
  local core_net = require "xenkit.core.net"
  local devices = require "xenkit.host.devices"
  local net = require "xenkit.net"
  local task = require "xenkit.task"
  local xenkit = require "xenkit"

  local function two(world)
    local switch = assert(core_net.switch(world))
    local function plug(n)
      local device = assert(core_net.plug(world, switch, "00:16:3e:00:00:0" .. n))
      return assert(net.on(world, device, { address = ("10.0.0.%d/24"):format(n) }))
    end
    return switch, plug(1), plug(2)
  end

  it("reads addresses with their prefix", function()
    assert.same({ "10.0.0.1", 24 }, { net.cidr "10.0.0.1/24" })
    for _, bad in ipairs { "", "10.0.0.1", "10.0.0.1/33", "10.0.0.256/24", "10.0.1/24", "x10.0.0.1/24" } do
      local got, err, code = net.cidr(bad)
      assert.is_nil(got)
      assert.equal("XK_EINVAL", code)
      assert.matches("10.0.0.1/24", err, 1, true)
    end
  end)

  it("carries datagrams and echoes between two stacks at one switch", function()
    xenkit.run(function(ctx)
      local switch <close>, a, b = two(ctx.world)
      assert.equal("10.0.0.1", a:up(1))
      assert.equal("10.0.0.2", b:up(1))
      local x <close> = assert(a:udp())
      local y <close> = assert(b:udp(7))
      assert.same({ nil, "in use", "XK_EBUSY" }, { b:udp(7) })
      task.spawn(function()
        while true do
          local data, from, port = y:receive()
          y:send(data:upper(), from, port)
        end
      end)
      for _, n in ipairs { 0, 1, 1472, 1473, 60000 } do
        assert.is_true(x:send(("a"):rep(n), "10.0.0.2", 7))
        local data, from, port, to = x:receive(2)
        assert.equal(("A"):rep(n), data)
        assert.same({ "10.0.0.2", 7, "10.0.0.1" }, { from, port, to })
      end
      assert.is_true(a:ping("10.0.0.2", 1) < 1)
      assert.is_true(a:ping("10.0.0.2", 1, 5000) < 1)
      local _, err, code = a:ping("10.0.0.77", 0.05)
      assert.equal("XK_ETIMEDOUT", code)
      assert.truthy(err)
      assert.same({ nil, "no datagram came in time", "XK_ETIMEDOUT" }, { x:receive(0.02) })
      assert.equal("XK_EGONE", select(3, x:send("x", "11.0.0.1", 7)))
      assert.same({ { address = "10.0.0.2", mac = "00:16:3e:00:00:02" } }, a:neighbours())
      assert.equal(2, b:stats().ip.pings)
      assert.has_error(function() x:send("x", "10.0.0", 7) end)
      assert.has_error(function() x:send("x", "10.0.0.2", 0) end)
      assert.is_not_nil(switch)
    end)
  end)

  it("reads IPv6 addresses with their prefix", function()
    assert.same({ "fd00::1", 64 }, { net.cidr6 "fd00::1/64" })
    for _, bad in ipairs { "", "fd00::1", "fd00::1/129", "fd00::1/0", "10.0.0.1/24", "fd00:::1/64", "fd00::g/64" } do
      local got, err, code = net.cidr6(bad)
      assert.is_nil(got)
      assert.equal("XK_EINVAL", code)
      assert.matches("fd00::1/64", err, 1, true)
    end
  end)

  it("speaks IPv6, with addresses that a router advertises", function()
    xenkit.run(function(ctx)
      local switch <close>, a, b = two(ctx.world)
      local third = assert(core_net.plug(ctx.world, switch, "00:16:3e:00:00:03"))
      local none = assert(net.on(ctx.world, third, { ipv6 = false }))
      assert.equal("XK_ENODEV", select(3, none:up6(0)))
      assert.equal("XK_ETIMEDOUT", select(3, a:up6(0.05)))
      assert.has_error(function() b:advertise { prefix = "x" } end)
      assert.has_error(function() b:advertise { prefix = "fd00:7::", dns = { "10.0.0.1" } } end)
      assert.equal("XK_EINVAL", select(3, b:advertise { prefix = "fd00:7::1" }))
      assert.is_true(b:advertise { prefix = "fd00:7::", router = 1800, dns = { "fd00:7::53" } })
      assert.equal("fd00:7::216:3eff:fe00:1", a:up6(10))
      assert.same({ "fe80::216:3eff:fe00:2" }, a:routers6())
      assert.same({ "fd00:7::53" }, a:dns6())
      local list = a:addresses6()
      assert.same({ "fe80::216:3eff:fe00:1", "preferred", true }, { list[1].address, list[1].state, list[1].automatic })
      assert.is_nil(list[1].valid)
      assert.is_true(list[2].valid > 86000)
      local x <close> = assert(a:udp())
      local y <close> = assert(b:udp(7))
      assert.is_true(y:join "ff02::7")
      assert.equal("XK_EEXIST", select(3, y:join "ff02::7"))
      assert.equal("XK_EINVAL", select(3, y:join "fe80::7"))
      assert.is_true(x:send("hello", "ff02::7", 7))
      local data, from, port, to = y:receive(2)
      assert.same({ "hello", "fe80::216:3eff:fe00:1", "ff02::7" }, { data, from, to })
      assert.is_true(y:send("back", from, port))
      assert.equal("back", x:receive(2))
      assert.is_true(y:leave "ff02::7")
      assert.is_true(a:ping("fe80::216:3eff:fe00:2", 1) < 1)
    end)
  end)

  it("gives and takes addresses", function()
    xenkit.run(function(ctx)
      local switch <close>, a, b = two(ctx.world)
      assert(a:up(1))
      assert.equal("XK_EINVAL", select(3, a:dhcp_server { first = "10.1.0.1", last = "10.1.0.2" }))
      assert.has_error(function() a:dhcp_server { first = "here", last = "10.0.0.9" } end)
      assert.is_true(a:dhcp_server { first = "10.0.0.8", last = "10.0.0.9", router = "10.0.0.1", dns = { "10.0.0.53" },
        domain = "example", seconds = 120 })
      b.conf = {}
      b.hostname = "bee"
      local address = assert(b:up(2))
      assert.matches("^10.0.0.[89]$", address)
      assert.same({ address, 24, "10.0.0.1" }, { b:address() })
      assert.same({ address = address, prefix = 24, router = "10.0.0.1", server = "10.0.0.1", dns = { "10.0.0.53" },
        domain = "example", seconds = 120 }, b:lease())
      local leases = a:leases()
      assert.same({ address, "00:16:3e:00:00:02", "bee" }, { leases[1].address, leases[1].mac, leases[1].name })
      assert.is_true(leases[1].seconds > 110)
      assert.is_not_nil(switch)
    end)
  end)

  it("keeps what is closed closed, in any order", function()
    xenkit.run(function(ctx)
      local switch, a = two(ctx.world)
      assert(a:up(1))
      local socket = assert(a:udp())
      local device = a.device
      assert.has_error(function() core_inet.open(ctx.world, device) end) -- it is in use
      switch:close() -- and all that hangs on it
      assert.has_error(function() device:info() end)
      assert.has_error(function() socket:send("x", "10.0.0.2", 1) end)
      assert.has_error(function() a:address() end)
      socket:close()
      a:close()
    end)
  end)

  it("has an address of its own choice unless somebody else has it", function()
    xenkit.run(function(ctx)
      local switch <close> = assert(core_net.switch(ctx.world))
      local function plug(n)
        local device = assert(core_net.plug(ctx.world, switch, "00:16:3e:00:00:0" .. n))
        return assert(net.on(ctx.world, device, { address6 = "fd00::5/64", gateway6 = "fd00::1" }))
      end
      local a = plug(1)
      assert.equal("fd00::5", a:up6(5))
      assert.same({ "fd00::1" }, a:routers6())
      local b = plug(2)
      assert.same({ nil, "somebody else has fd00::5", "XK_EADDRINUSE" }, { b:up6(5) })
      local bad, _, code = net.on(ctx.world, assert(core_net.plug(ctx.world, switch, "00:16:3e:00:00:03")),
        { address6 = "fd00::5" })
      assert.same({ nil, "XK_EINVAL" }, { bad, code })
    end)
  end)

  it("lists a domain's devices, with addresses that stay the same", function()
    local desc = { name = "d", vifs = { lan = { back = "net" }, wan = { back = "net", mac = "00:16:3E:AA:00:01" } },
      disks = { data = { image = "x", back = "disks", queues = 2 }, swap = { image = "y", back = "disks" } } }
    local list = devices.list(desc)
    assert.same({ "vbd", "vbd", "vif", "vif" }, { list[1].kind, list[2].kind, list[3].kind, list[4].kind })
    assert.matches("^00:16:3e:[0-7]%x:%x%x:%x%x$", list[3].mac)
    assert.equal(list[3].mac, devices.list(desc)[3].mac)
    assert.equal("00:16:3e:aa:00:01", list[4].mac)
    local disk, vif = devices.told(list)
    assert.same({ data = { dev = "xvda", queues = 2 }, swap = { dev = "xvdb" } }, disk)
    assert.same({ lan = { number = 0 }, wan = { number = 1 } }, vif)
    assert.is_true(devices.check(desc))
    desc.disks.data.queues = 5
    assert.same({ nil, "a disk has 1 to 4 queues", "queues" }, { devices.check(desc) })
  end)

  it("says what is wrong with the wish how flows are spread", function()
    local function check(queues, hash)
      local desc = { name = "d", vifs = { lan = { back = "net", queues = queues, hash = hash, keep = true } } }
      return devices.check(desc)
    end
    assert.is_true(check(4, { key = "secret", types = { "ip4", "ip6_tcp" }, map = { 0, 3, 3 } }))
    assert.is_true(check(nil, {}))
    for wrong, h in pairs { ["types and map"] = { maps = {} }, ["40 bytes"] = { key = ("k"):rep(41) },
      ["not 'udp'"] = { types = { "udp" } }, ["a queue of 0 to 1"] = { map = { 0, 2 } } } do
      local got, err, key = check(2, h)
      assert.is_nil(got)
      assert.equal("hash", key)
      assert.matches(wrong, err, 1, true)
    end
    assert.same({ nil, "a vif has 1 to 4 queues", "queues" }, { check(5) })
    local told = select(2, devices.told(devices.list { name = "d", vifs = { lan = { back = "n", queues = 2,
      hash = { map = { 1 } } } } }))
    assert.same({ lan = { number = 0, queues = 2, hash = { map = { 1 } } } }, told)
  end)
end)
