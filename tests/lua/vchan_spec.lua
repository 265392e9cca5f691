-- xenkit.vchan in a private world: meeting in the store, both ends in one domain. Upstream's programs as the other end:
-- tests/lab/test_vchan.sh.
local ok = pcall(require, "xenkit.core.world")

describe("vchan", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local xenkit = require "xenkit"
  local core = require "xenkit.core.vchan"
  local task = require "xenkit.task"
  local vchan = require "xenkit.vchan"

  local function in_world(fn)
    return function() xenkit.run(fn) end
  end

  local function pair(ctx, opts)
    local l = assert(vchan.listen(ctx, ctx.domid, "/v", opts))
    local c = assert(vchan.connect(ctx, ctx.domid, "/v", 5))
    return assert(l:accept(5)), c, l
  end

  it("publishes both nodes for the peer alone, and takes them away", in_world(function(ctx)
    local l = assert(vchan.listen(ctx, 77 < ctx.domid and 77 or ctx.domid, "data/v"))
    local home = ctx.store:domain_path(ctx.domid)
    for _, name in ipairs { "ring-ref", "event-channel" } do
      assert.truthy(tonumber(ctx.store:read(home .. "/data/v/" .. name)) > 0)
      assert.same({ "n" .. ctx.domid, "r" .. l.peer }, ctx.store:get_perms("data/v/" .. name))
    end
    l:close()
    assert.same({ nil, "data/v: no such entry", "XK_ENOENT" }, { ctx.store:read "data/v" })
  end))

  it("carries bytes of any block size both ways", in_world(function(ctx)
    for _, rings in ipairs { { 1024, 2048 }, { 2048, 1024 }, { 2048, 8192 }, { 65536, 65536 } } do
      local s, c = pair(ctx, { left = rings[1], right = rings[2] })
      for _, block in ipairs { 1, 1000, 4096, 65536 } do
        local text = ("abcdefghijk"):rep(block):sub(1, block)
        for _, ends in ipairs { { s, c }, { c, s } } do
          local t = task.spawn(function() for _ = 1, 3 do assert(ends[1]:write(text, 5)) end end)
          assert.equal(text:rep(3), (assert(ends[2]:read_exactly(3 * block, 5))))
          t:join()
        end
      end
      assert.equal("open", s:state())
      s:close()
      c:close()
    end
  end))

  it("waits for a client, a server, packets and room", in_world(function(ctx)
    local _, err, code = vchan.connect(ctx, ctx.domid, "/nobody", 0.05)
    assert.equal("/nobody: there is no vchan yet", err)
    assert.equal("XK_ETIMEDOUT", code)
    local connecting = task.spawn(vchan.connect, ctx, ctx.domid, "/late", 5)
    task.sleep(0.02)
    local l = assert(vchan.listen(ctx, ctx.domid, "/late", { left = 1024, right = 2048 }))
    local c <close> = assert(connecting:join())
    local s <close> = assert(l:accept(5))
    assert.equal("XK_ETIMEDOUT", select(3, s:recv(10, 0.01)))
    local packet = task.spawn(s.recv, s, 10, 5)
    assert.is_true(c:send("12345", 1))
    task.sleep(0.02)
    assert.is_falsy(packet.done)
    assert.is_true(c:send("67890", 1))
    assert.equal("1234567890", packet:join())
    assert.equal("XK_EMSGSIZE", select(3, c:send(("x"):rep(1025), 1)))
    assert.is_true(c:send(("x"):rep(1000), 1))
    assert.equal("XK_ETIMEDOUT", select(3, c:send(("y"):rep(25), 0.01)))
    assert.equal("XK_ETIMEDOUT", select(3, c:drain(0.01)))
    local sending = task.spawn(c.send, c, ("y"):rep(1024), 5)
    assert.equal(1000, #s:recv(1000, 1))
    assert.is_true(sending:join())
    local draining = task.spawn(c.drain, c, 5)
    assert.equal(("y"):rep(1023), s:recv(1023, 1))
    task.sleep(0.02)
    assert.is_falsy(draining.done)
    assert.equal("y", s:recv(1, 1))
    assert.is_true(draining:join())
  end))

  it("ends with the last byte, and says when a packet is cut", in_world(function(ctx)
    local s, c = pair(ctx)
    c:write "last words"
    c:close()
    assert.equal("closed", s:state())
    assert.equal("last", s:recv(4, 1))
    assert.equal("XK_EPIPE", select(3, s:recv(10, 1)))
    assert.equal(" words", s:read(100, 1))
    assert.same({ nil, "end of stream" }, { s:read(1, 1) })
    assert.same({ nil, "end of stream" }, { s:recv(1, 1) })
    assert.equal("XK_EPIPE", select(3, s:write "x"))
    s:close()
    assert.is_nil(ctx.store:read "/v")
    assert.equal("XK_ECLOSED", select(3, s:recv(1, 1)))
  end))

  it("says XK_EGONE when the peer's domain is gone, after what it wrote", in_world(function(ctx)
    local s, c = pair(ctx)
    c:write "abc"
    local waiting = task.spawn(s.read_exactly, s, 10, 5)
    task.sleep(0.02)
    core.set_gone(s.raw)
    local _, _, code = waiting:join()
    assert.equal("XK_EGONE", code)
    assert.equal("abc", s:read())
    assert.equal("XK_EGONE", select(3, s:write "x"))
    s:close()
    c:close()
  end))

  it("takes one client, or with persist one after the other", in_world(function(ctx)
    local s, c, l = pair(ctx)
    assert.equal("XK_ECLOSED", select(3, l:accept(1)))
    assert.equal("XK_EINVAL", select(3, vchan.connect(ctx, ctx.domid, "/v", 0.05))) -- taken
    s:close()
    c:close()
    l = assert(vchan.listen(ctx, ctx.domid, "/p", { persist = true }))
    for i = 1, 3 do
      c = assert(vchan.connect(ctx, ctx.domid, "/p", 5))
      c:write("client " .. i)
      c:close() -- at once: the next one must not meet its bytes
      s = assert(l:accept(5))
      assert.equal("client " .. i, s:read(100, 1))
      assert.same({ nil, "end of stream" }, { s:read(1, 1) })
      if i < 3 then s:close() end
    end
    l:close()
    assert.is_nil(ctx.store:read "/p")
    assert.equal("XK_ECLOSED", select(3, l:accept(1)))
    assert.equal("closed", s:state())
  end))

  it("passes over what a dead server left behind, and nonsense", in_world(function(ctx)
    ctx.store:write("/old/ring-ref", "no number")
    ctx.store:write("/old/event-channel", "99999999999999")
    local connecting = task.spawn(vchan.connect, ctx, ctx.domid, "/old", 5)
    task.sleep(0.02)
    ctx.store:write("/old/ring-ref", "1000000")
    ctx.store:write("/old/event-channel", "4000")
    task.sleep(0.02)
    local l <close> = assert(vchan.listen(ctx, ctx.domid, "/old"))
    local c <close> = assert(connecting:join())
    local s <close> = assert(l:accept(5))
    c:write "x"
    assert.equal("x", s:read(1, 1))
  end))

  it("refuses rings that cannot be", in_world(function(ctx)
    assert.equal("XK_EINVAL", select(3, vchan.listen(ctx, ctx.domid, "/v", { left = 0 })))
    assert.equal("XK_EINVAL", select(3, vchan.listen(ctx, ctx.domid, "/v", { right = (1 << 20) + 1 })))
    assert.is_nil(ctx.store:read "/v")
  end))
end)
