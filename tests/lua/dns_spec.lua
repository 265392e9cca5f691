-- The DNS server from Lua: zones and their errors, datagrams, TCP, hooks. Needs xenkit/core.so on package.cpath:
-- LUA_CPATH="build/lua/?.so;;" busted -f dns
local ok = pcall(require, "xenkit.core")
if not ok then
  describe("dns", function() pending("needs xenkit/core.so on LUA_CPATH") end)
  return
end
local core = require "xenkit.core.world"
local host = require "xenkit.core.host"
local dns = require "xenkit.dns"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local HEAD = "$ORIGIN t.test.\n$TTL 60\n@ SOA ns1 host 1 7200 900 1209600 60\n@ NS ns1\nns1 A 127.0.0.1\n"
local ZONE = HEAD .. 'www A 192.0.2.1\nwww AAAA ::1\n*.w TXT "wild"\nbig TXT "' ..
  table.concat({ ("a"):rep(250), ("b"):rep(250), ("c"):rep(250) }, '" "') .. '"\n'

local world

local function ask(server, name, type, opts, transport)
  local reply, err = server:answer(assert(dns.query(name, type or "A", opts)), transport)
  return reply and assert(dns.decode(reply)), err
end

local function new_server(zone, opts)
  local server = assert(dns.server(world, opts))
  assert(server:load(nil, zone or ZONE, "t.zone"))
  return server
end

local function have(program) return (os.execute("command -v " .. program .. " >/dev/null 2>&1")) == true end

-- The output of a command that runs while the loop does.
local function run_beside(command)
  local path = os.tmpname()
  local p = io.popen(("(%s) >%s 2>&1; echo $? >%s.rc"):format(command, path, path))
  local out
  for _ = 1, 500 do
    local rc = io.open(path .. ".rc")
    if rc then
      rc:close()
      local f = assert(io.open(path))
      out = f:read("a")
      f:close()
      break
    end
    task.sleep(0.02)
  end
  p:close()
  os.remove(path)
  os.remove(path .. ".rc")
  return assert(out, "timeout: " .. command)
end

before_each(function() world = assert(core.open()) end)
after_each(function() world:close() end)

describe("dns zone", function()
  it("is loaded and told about", function()
    local server = assert(dns.server(world))
    local info = assert(server:load(nil, ZONE, "t.zone"))
    assert.equal("t.test.", info.apex)
    assert.equal(1, info.serial)
    assert.equal(7, info.records)
    local r = ask(server, "www.t.test.")
    assert.equal("NOERROR", r.rcode)
    assert.is_true(r.aa)
    assert.same({ name = "www.t.test.", type = "A", class = "IN", ttl = 60, rdata = "192.0.2.1" }, r.answer[1])
    assert.equal('"wild"', ask(server, "x.w.t.test.", "TXT").answer[1].rdata)
    assert.equal("REFUSED", ask(server, "www.other.test.").rcode)
  end)

  it("is refused with file, line and column, and the old one stays", function()
    local server = new_server()
    local info, err, code = server:load(nil, HEAD .. "www A 192.0.2.2\nftp A 192.0.2.300\n", "bad.zone")
    assert.is_nil(info)
    assert.matches("^bad%.zone:7:%d+: ", err)
    assert.equal("XK_EINVAL", code)
    assert.equal("192.0.2.1", ask(server, "www.t.test.").answer[1].rdata)
    assert.equal(1, server:stats().zones)
  end)

  it("is dropped", function()
    local server = new_server()
    assert.is_true(server:drop("T.test"))
    assert.equal("REFUSED", ask(server, "www.t.test.").rcode)
    assert.is_nil((server:drop("t.test")))
  end)

  it("is loaded again when its text changes", function()
    local server, text = assert(dns.server(world)), ZONE
    local again = dns.reloader(server, nil, function() return text end, "t.zone")
    assert.equal("t.test.", again().apex)
    assert.is_false(again())
    text = HEAD .. "www A 192.0.2.9\n"
    assert.equal("t.test.", again().apex)
    assert.equal("192.0.2.9", ask(server, "www.t.test.").answer[1].rdata)
    text = "nonsense"
    local info, err = again()
    assert.is_nil(info)
    assert.matches("^t%.zone:1", err)
    assert.equal("192.0.2.9", ask(server, "www.t.test.").answer[1].rdata)
  end)

  it("of the project is right", function()
    local f = io.open("site/xenkit.zone")
    if not f then return pending("run from the root of the tree") end
    local server = assert(dns.server(world))
    local info = assert(server:load(nil, f:read("a"), "site/xenkit.zone"))
    f:close()
    assert.equal("xenkit.test.", info.apex)
    for _, name in ipairs { "www", "ns1", "dashboard" } do
      assert.equal("127.0.0.1", ask(server, name .. ".xenkit.test.").answer[1].rdata)
      assert.equal("::1", ask(server, name .. ".xenkit.test.", "AAAA").answer[1].rdata)
    end
    assert.equal("www.xenkit.test.", ask(server, "alice.sites.xenkit.test.").answer[1].rdata)
    assert.equal("0 5 8080 www.xenkit.test.", ask(server, "_http._tcp.xenkit.test.", "SRV").answer[1].rdata)
    assert.equal(1, #ask(server, "xenkit.test.", "CAA").answer)
  end)
end)

describe("dns message", function()
  it("has options", function()
    local m = dns.decode(dns.query("a.test", "TYPE257", { id = 77, rd = true, udp_size = 1400, dnssec = true }))
    assert.equal(77, m.id)
    assert.is_true(m.rd)
    assert.same({ name = "a.test.", type = "CAA", class = "IN" }, m.question[1])
    assert.same({ udp_size = 1400, version = 0, dnssec = true }, m.edns)
  end)

  it("cut short is answered or dropped, never more", function()
    local server = new_server()
    local q = dns.query("www.t.test.", "A", { id = 1, udp_size = 1232 })
    for n = 0, #q do
      local reply = server:answer(q:sub(1, n))
      if n < 12 then
        assert.is_nil(reply)
      else
        assert.equal(n < #q and "FORMERR" or "NOERROR", dns.decode(reply).rcode, n)
      end
      if n < #q and n > 0 then assert.is_nil((dns.decode(q:sub(1, n)))) end
    end
    assert.equal(12, server:stats().dropped)
  end)

  it("too long for a datagram is truncated, over TCP it is not", function()
    local server = new_server()
    local r = ask(server, "big.t.test.", "TXT")
    assert.is_true(r.tc)
    assert.equal(0, #r.answer)
    r = ask(server, "big.t.test.", "TXT", nil, "tcp")
    assert.is_false(r.tc)
    assert.equal(758, #r.answer[1].rdata)
    assert.is_false(ask(server, "big.t.test.", "TXT", { udp_size = 1232 }).tc)
  end)

  it("quotes text for TXT", function()
    assert.equal('"a\\034b\\092\\000\\255 ~"', dns.quote('a"b\\\0\255 ~'))
    assert.equal('""', dns.quote(""))
    assert.equal(2, select(2, dns.quote(("x"):rep(300)):gsub('"x+"', "")))
  end)

  it("raises on wrong use", function()
    assert.error(function() dns.query("a.test", "NOSUCH") end)
    assert.error(function() dns.server(world, { udp_max = 10 }) end)
    assert.is_nil((dns.query("a..b", "A")))
    local server = new_server()
    server:close()
    server:close()
    assert.error_matches(function() server:stats() end, "closed dns server")
  end)
end)

describe("dns hook", function()
  local function hooked(fn, stage)
    local server = new_server()
    server:hook(fn, stage)
    return server
  end

  it("answers what the zone does not know", function()
    local server = hooked(function(name, type, stage)
      assert(name == "dyn.t.test." and type == "TXT" and stage == "after")
      return { { "TXT", '"hello"', 5 }, { type = "TXT", rdata = '"you"' }, { "A", "192.0.2.5", 1 } }
    end)
    local r = ask(server, "Dyn.t.test.", "TXT")
    assert.is_true(r.aa)
    assert.equal(2, #r.answer)
    assert.equal('"hello"', r.answer[1].rdata)
    assert.equal(5, r.answer[1].ttl)
    assert.equal("192.0.2.1", ask(server, "www.t.test.").answer[1].rdata)
    assert.equal(1, server:stats().hook_calls)
  end)

  it("passes, gives an rcode, drops", function()
    local result
    local server = hooked(function() return result end)
    assert.equal("NXDOMAIN", ask(server, "a.t.test.").rcode)
    for _, v in ipairs { "REFUSED", "NOERROR", "SERVFAIL" } do
      result = v
      assert.equal(v, ask(server, "a.t.test.").rcode)
    end
    result = 5
    assert.equal("REFUSED", ask(server, "a.t.test.").rcode)
    result = {}
    assert.equal("NOERROR", ask(server, "a.t.test.").rcode)
    result = false
    assert.is_nil((ask(server, "a.t.test.")))
    server:hook(nil)
    assert.equal("NXDOMAIN", ask(server, "a.t.test.").rcode)
  end)

  it("is cached only when it says so", function()
    local calls = 0
    local server = hooked(function(name)
      calls = calls + 1
      return { { "A", "192.0.2.7" } }, name:sub(1, 1) == "c"
    end)
    for _ = 1, 3 do assert.equal(1, #ask(server, "c.t.test.").answer) end
    assert.equal(1, calls)
    for _ = 1, 3 do assert.equal(1, #ask(server, "n.t.test.").answer) end
    assert.equal(4, calls)
  end)

  it("that fails is counted and answered SERVFAIL", function()
    local server
    local wrong = {
      function() error "oh no" end, function() error {} end, function() return { { "A", "300.1.1.1" } } end,
      function() return { 1 } end, function() return { { "NOSUCH", "x" } } end, function() return true end,
      function() return "NOSUCH" end, function() return 99 end, function() coroutine.yield() end,
      function() local function f() return f() + 1 end return f() end, function() return { { "A" } } end,
      function() return { { "A", "192.0.2.1", -1 } } end, function() server:answer("x") end,
      function() server:load(nil, ZONE, "t") end, function() return function() end end,
    }
    server = new_server()
    for i, fn in ipairs(wrong) do
      server:hook(fn)
      assert.equal("SERVFAIL", ask(server, "a.t.test.").rcode, i)
      assert.equal(i, server:stats().hook_errors)
    end
    server:hook(function() error "oh no" end)
    ask(server, "a.t.test.")
    assert.matches("oh no", server:stats().hook_error)
  end)

  it("may close its server", function()
    local server
    server = hooked(function() server:close() end)
    local reply, _, code = server:answer(dns.query("a.t.test.", "A"))
    assert.is_nil(reply)
    assert.equal("XK_ECLOSED", code)
  end)

  it("comes before the zone when asked to", function()
    local server = hooked(function(_, _, stage)
      return stage == "before" and { { "A", "192.0.2.8" } } or nil
    end, "before")
    assert.equal("192.0.2.8", ask(server, "www.t.test.").answer[1].rdata)
  end)
end)

describe("dns over UDP", function()
  local function dig(port, words) return ("dig +time=5 +tries=1 -p %d @127.0.0.1 %s"):format(port, words) end

  it("answers dig", function()
    if not have("dig") then return pending("dig is not installed") end
    local handle, port = assert(host.bind_udp("127.0.0.1", 0))
    local server = new_server()
    assert.is_true(server:serve_udp(handle))
    task.run(world, function()
      assert.equal("192.0.2.1\n", run_beside(dig(port, "+short www.t.test A")))
      assert.matches("status: NXDOMAIN", run_beside(dig(port, "no.t.test A")))
      assert.matches("flags: qr aa tc", run_beside(dig(port, "+ignore +noedns big.t.test TXT")))
      server:hook(function() return { { "TXT", '"hook"' } } end)
      assert.equal('"hook"\n', run_beside(dig(port, "+short dyn.t.test TXT")))
      server:hook(function() error "broken" end)
      assert.matches("status: SERVFAIL", run_beside(dig(port, "dyn.t.test TXT")))
    end)
    local s = server:stats()
    assert.equal(5, s.udp.received)
    assert.equal(5, s.udp.sent)
    assert.equal(0, s.udp.unsent)
  end)

  it("survives broken datagrams", function()
    if not have("python3") or not have("dig") then return pending("python3 or dig is not installed") end
    local handle, port = assert(host.bind_udp("127.0.0.1", 0))
    local server = new_server()
    assert(server:serve_udp(handle))
    local q = dns.query("www.t.test.", "A", { udp_size = 1232 })
    local hex = q:gsub(".", function(c) return ("%02x"):format(c:byte()) end)
    local script = ([[python3 -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
q = bytes.fromhex("%s")
for n in range(len(q) + 1): s.sendto(q[:n], ("127.0.0.1", %d))
s.sendto(b"x" * 4000, ("127.0.0.1", %d))']]):format(hex, port, port)
    task.run(world, function()
      assert.equal("", run_beside(script))
      assert.equal("192.0.2.1\n", run_beside(dig(port, "+short www.t.test A")))
    end)
    local s = server:stats()
    assert.equal(1, s.udp.oversize)
    assert.equal(#q + 3, s.udp.received)
    assert.equal(12, s.dropped)
  end)

  it("swaps zones under load without a lost query", function()
    if not have("dnsperf") then return pending("dnsperf is not installed") end
    local handle, port = assert(host.bind_udp("127.0.0.1", 0))
    local server = new_server()
    assert(server:serve_udp(handle))
    local queries = os.tmpname()
    local f = assert(io.open(queries, "w"))
    f:write("www.t.test A\nx.w.t.test TXT\nno.t.test A\n")
    f:close()
    local swaps, out = 0, nil
    task.run(world, function()
      local swapper = task.spawn(function()
        while true do
          assert(server:load(nil, ZONE:gsub("host 1 ", "host " .. swaps + 2 .. " "), "t.zone"))
          swaps = swaps + 1
          task.sleep(0.005)
        end
      end)
      out = run_beside(("dnsperf -s 127.0.0.1 -p %d -d %s -l 1 -q 20"):format(port, queries))
      swapper:cancel()
    end)
    os.remove(queries)
    assert.is_true(swaps > 10)
    assert.matches("Queries lost: +0 ", out)
    local s = server:stats()
    assert.equal(s.udp.received, s.udp.sent)
    assert.equal(s.queries, s.rcode.NOERROR + s.rcode.NXDOMAIN)
  end)

  it("stops with its server, and goes on without a reference to it", function()
    if not have("dig") then return pending("dig is not installed") end
    local handle, port = assert(host.bind_udp("127.0.0.1", 0))
    assert(new_server():serve_udp(handle))
    collectgarbage()
    collectgarbage()
    task.run(world, function() assert.equal("192.0.2.1\n", run_beside(dig(port, "+short www.t.test A"))) end)
    world:close()
    local again = assert(host.bind_udp("127.0.0.1", port)) -- the port is free
    require("xenkit.core.stream").handle_close(again)
  end)

  it("lets a hook close the server in a batch", function()
    if not have("dig") then return pending("dig is not installed") end
    local handle, port = assert(host.bind_udp("127.0.0.1", 0))
    local server = new_server()
    assert(server:serve_udp(handle))
    server:hook(function()
      server:close()
      collectgarbage()
      collectgarbage()
    end)
    task.run(world, function() run_beside(dig(port, "+time=1 x.t.test A")) end)
    assert.error(function() server:stats() end)
  end)

  it("refuses what is no datagram descriptor", function()
    local listener = assert(host.listen_tcp("127.0.0.1", 0))
    local ok_, _, code = new_server():serve_udp(listener)
    assert.is_nil(ok_)
    assert.equal("XK_EBADF", code)
  end)
end)

describe("dns over TCP", function()
  -- Runs fn(connect, stats) with a server behind it.
  local function serving(opts, fn)
    local handle, port = assert(host.listen_tcp("127.0.0.1", 0))
    local server = new_server()
    opts.stats = {}
    task.run(world, function()
      local listener = assert(stream.listener(world, handle))
      local t = task.spawn(dns.serve_tcp, server, listener, opts)
      local function connect() return assert(stream.from_handle(world, assert(host.connect_tcp("127.0.0.1", port)))) end
      fn(connect, opts.stats)
      t:cancel()
      pcall(t.join, t)
      listener:close()
    end)
    return opts.stats
  end

  it("answers many queries of one connection in order", function()
    local stats = serving({}, function(connect)
      local s = connect()
      local parts = {}
      for i = 1, 500 do
        local big = i % 2 == 1
        local q = dns.query(big and "big.t.test." or "www.t.test.", big and "TXT" or "A", { id = i })
        parts[i] = string.pack(">s2", q)
      end
      local all = table.concat(parts)
      local writer = task.spawn(function()
        for at = 1, #all, 1001 do assert(s:write(all:sub(at, at + 1000))) end -- cuts messages anywhere
      end)
      for i = 1, 500 do
        local n = string.unpack(">I2", assert(s:read_exactly(2, 5)))
        local m = assert(dns.decode(assert(s:read_exactly(n, 5))))
        assert.equal(i, m.id)
        assert.equal(1, #m.answer)
      end
      writer:join()
      s:close()
    end)
    assert.equal(500, stats.queries)
    assert.equal(0, stats.errors)
  end)

  it("is asked by lookup", function()
    serving({}, function(connect)
      local s = connect()
      local r = assert(dns.lookup(s, "www.t.test", "A", { tcp = true }))
      assert.equal("192.0.2.1", r.answer[1].rdata)
      assert.equal("NXDOMAIN", dns.lookup(s, "no.t.test", "AAAA", { tcp = true }).rcode)
      s:close()
    end)
  end)

  it("closes idle connections, also those that trickle", function()
    local stats = serving({ idle = 0.2 }, function(connect)
      local s = connect()
      local start = world:now()
      for _ = 1, 20 do
        if not s:write("\0") then break end
        local data, _, code = s:read(1, 0.05)
        if not data and code ~= "XK_ETIMEDOUT" then break end
      end
      assert.is_true(world:now() - start < 0.6)
      s:close()
    end)
    assert.equal(1, stats.idle)
  end)

  it("makes room by closing the one that is silent longest", function()
    local stats = serving({ connections = 2 }, function(connect)
      local all = {}
      for i = 1, 4 do
        all[i] = connect()
        assert(dns.lookup(all[i], "www.t.test", "A", { tcp = true }))
      end
      assert.is_nil((all[1]:read(1, 1)))
      assert(dns.lookup(all[4], "www.t.test", "A", { tcp = true }))
      for _, s in ipairs(all) do s:close() end
    end)
    assert.equal(4, stats.accepted)
    assert.equal(2, stats.evicted)
    assert.equal(0, stats.errors)
  end)
end)

describe("dns lookup over datagrams", function()
  -- A stream whose other side gives (replies) for each query.
  local function fake(replies)
    local s = { queue = {}, sent = 0 }
    function s:write(q)
      self.sent = self.sent + 1
      for _, r in ipairs(replies(q, self.sent)) do table.insert(self.queue, r) end
      return true
    end
    function s:read()
      local r = table.remove(self.queue, 1)
      if r then return r end
      return nil, "the deadline passed", "XK_ETIMEDOUT"
    end
    return s
  end

  it("takes only the reply to its own question, and tries again", function()
    local server = new_server()
    local s = fake(function(q, n)
      if n == 1 then return {} end
      local reply = server:answer(q)
      local forged = string.pack(">I2", string.unpack(">I2", reply) ~ 1) .. reply:sub(3)
      local other = server:answer(q:sub(1, 2) .. dns.query("ns1.t.test", "A"):sub(3))
      return { "junk", forged, other, reply }
    end)
    task.run(world, function()
      local r = assert(dns.lookup(s, "www.t.test", "A"))
      assert.equal("192.0.2.1", r.answer[1].rdata)
      assert.equal(2, s.sent)
      local none, err, code = dns.lookup(fake(function() return {} end), "www.t.test", "A", { tries = 2 })
      assert.is_nil(none)
      assert.matches("www%.t%.test", err)
      assert.equal("XK_ETIMEDOUT", code)
    end)
  end)
end)

describe("dns service", function()
  local service = loadfile("scripts/services/dns.lua")
  if not service then return pending("run from the root of the tree") end
  service = service()

  local function context(zone)
    local tcp, port = assert(host.listen_tcp("127.0.0.1", 0))
    local udp = assert(host.bind_udp("127.0.0.1", port))
    return { world = world, domid = world:domid(), tcp = { dns = assert(stream.listener(world, tcp)) },
      udp = { dns = udp }, text = { zone = zone }, text_path = { zone = "my.zone" }, log = function() end }, port
  end

  it("says where a zone is wrong and ends with 1", function()
    local said
    local saved = print
    _G.print = function(text) said = text end -- luacheck: ignore
    local ctx = context(HEAD .. "www A 192.0.2.2\nftp A x\n")
    local done, code = pcall(task.run, world, service.start, ctx)
    _G.print = saved -- luacheck: ignore
    assert.is_true(done, code)
    assert.equal(1, code)
    assert.matches("^my%.zone:7:%d+: ", said)
  end)

  it("answers the zone and the domains of the store, and counts", function()
    local ctx, port = context(ZONE)
    task.run(world, function()
      ctx.store = assert(require("xenkit.store").open(world))
      local home = assert(ctx.store:domain_path(ctx.domid))
      assert(ctx.store:write(home .. "/name", "Web.1"))
      local t = task.spawn(service.start, ctx)
      local function asked(name, type)
        local s <close> = assert(stream.from_handle(world, assert(host.connect_tcp("127.0.0.1", port))))
        return assert(dns.lookup(s, name, type, { tcp = true }))
      end
      assert.equal("192.0.2.1", asked("www.t.test", "A").answer[1].rdata)
      local r
      for _ = 1, 50 do
        r = asked("web-1.domains.t.test", "TXT")
        if r.rcode == "NOERROR" then break end
        task.sleep(0.05)
      end
      assert.equal(('"domid=%d" "state=running"'):format(ctx.domid), r.answer[1].rdata)
      assert.equal("NXDOMAIN", asked("no.domains.t.test", "TXT").rcode)
      task.sleep(1.2)
      local stats = assert(ctx.store:read("data/stats"))
      assert.matches("queries=%d", stats)
      assert.matches("tcp_accepted=%d", stats)
      t:cancel()
      pcall(t.join, t)
      ctx.store:close()
    end)
  end)
end)
