-- xenkit.block: images, both halves of a disk in one private world, databases on disks.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit.block", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local block = require "xenkit.block"
  local core = require "xenkit.core.block"
  local core_db = require "xenkit.core.db"
  local task = require "xenkit.task"
  local xenkit = require "xenkit"

  it("knows the numbers that Xen gives to disks", function()
    assert.equal(51712, block.number_of "xvda")
    assert.equal(51728, block.number_of "xvdb")
    assert.equal(1 << 28 | 16 << 8, block.number_of "xvdq")
    assert.same({ nil, "'hda' is not one of xvda to xvdz", "XK_EINVAL" }, { block.number_of "hda" })
  end)

  it("reads and writes an image in memory, in pieces and at once", function()
    xenkit.run(function(ctx)
      local disk <close> = assert(block.memory(ctx.world, 4 << 20))
      local text = {}
      for i = 1, 2 << 20, 8 do text[#text + 1] = ("%08d"):format(i) end
      text = table.concat(text)
      assert.is_true(disk:write(512, text))
      assert.equal(text, disk:read(512, #text))
      assert.is_true(disk:discard(512, 1024))
      assert.equal(("\0"):rep(1024), disk:read(512, 1024))
      assert.is_true(disk:flush())
      local info = disk:info()
      assert.equal(4 << 20, info.bytes)
      assert.is_true(info.discard)
      assert.same({ nil, "invalid argument", "XK_EINVAL" }, { disk:read(4 << 20, 512) })
      assert.has_error(function() disk:read(1, 512) end)
      assert.has_error(function() disk:write(0, "short") end)
    end)
  end)

  -- Both ends are this domain's: what a back end does that is its own front end's, too.
  local function pair(ctx, image, front_opts, back_opts)
    local store, me = ctx.store, ctx.domid
    local home = "/local/domain/" .. me
    local front, back = home .. "/device/vbd/51712", home .. "/backend/vbd/" .. me .. "/51712"
    for path, value in pairs { [back .. "/frontend"] = front, [back .. "/frontend-id"] = me, [back .. "/params"] = "x",
      [back .. "/mode"] = "w", [back .. "/state"] = 1, [front .. "/backend"] = back, [front .. "/backend-id"] = me,
      [front .. "/state"] = 1 } do
      assert(store:write(path, value))
    end
    local b = assert(core.back(ctx.world, store.raw, back, image.raw, back_opts))
    return assert(block.front(ctx, front, front_opts)), b
  end

  it("goes on after a suspend, with what was under way", function()
    xenkit.run(function(ctx)
      local image = assert(block.memory(ctx.world, 1 << 20))
      local disk, back = pair(ctx, image)
      assert.is_true(disk:wait(5))
      assert.is_true(disk:write(0, ("a"):rep(512)))
      for i = 1, 3 do
        local text = ("%08d"):format(i):rep(64)
        disk.raw:suspend()
        disk.raw:suspend()
        assert.equal("XK_EAGAIN", select(3, disk.raw:state()))
        local writer = task.spawn(function() return disk:write(512 * i, text) end)
        task.sleep(0.02)
        assert.equal(("\0"):rep(512), image:read(512 * i, 512)) -- it waits
        assert.is_true(disk.raw:resume(ctx.store.raw))
        assert.equal("XK_EBUSY", select(3, disk.raw:resume(ctx.store.raw)))
        assert.is_true(writer:join())
        assert.equal(text, image:read(512 * i, 512))
      end
      assert.equal(("a"):rep(512), disk:read(0, 512))
      disk.raw:suspend()
      disk.raw:retire() -- and is closed while it is
      disk.raw:close()
      back:close()
      image.raw:suspend() -- one without a back end has nothing to do
      assert.is_true(image.raw:resume(ctx.store.raw))
    end)
  end)

  it("is a disk between two halves, from the store to the ring", function()
    xenkit.run(function(ctx)
      local image = assert(block.memory(ctx.world, 1 << 20))
      local disk, back = pair(ctx, image)
      assert.is_true(disk:wait(5))
      assert.is_true(disk:write(4096, ("abcd"):rep(4096)))
      assert.equal(("abcd"):rep(4096), image:read(4096, 16384))
      assert.equal(1 << 20, disk:info().bytes)
      local waiting = {}
      for i = 0, 15 do waiting[i] = task.spawn(function() return disk:read(4096 * i, 4096) end) end
      for i = 0, 15 do assert.equal(4096, #waiting[i]:join()) end
      assert.is_true(disk:stats().reads >= 16)
      disk:close()
      back:close()
      image:close()
    end)
  end)

  it("has as many rings as both halves want", function()
    xenkit.run(function(ctx)
      local image = assert(block.memory(ctx.world, 1 << 20))
      local disk, back = pair(ctx, image, { queues = 3 }, { queues = 4 })
      assert.is_true(disk:wait(5))
      local waiting = {}
      for i = 0, 63 do
        waiting[i] = task.spawn(function() return disk:write(4096 * i, ("%08d"):format(i):rep(512)) end)
      end
      for i = 0, 63 do assert.is_true(waiting[i]:join()) end
      assert.is_true(disk:flush())
      for i = 0, 63 do assert.equal(("%08d"):format(i):rep(512), disk:read(4096 * i, 4096)) end
      local f, b = disk:stats(), back:stats()
      assert.same({ 3, 64, 64, 1 }, { f.queues, f.writes, f.reads, f.flushes })
      assert.same({ 3, 65, 64 }, { b.queues, b.writes, b.reads }) -- memory has no flush: a barrier does for it
      disk:close()
      back:close()
      assert.has_error(function() block.front(ctx, "device/vbd/51712", { queues = 5 }) end)
      image:close()
    end)
  end)

  it("knows what the domain's description says of its disks", function()
    local ctx = { desc = { disk = { data = { dev = "xvdc", queues = 2 } } } }
    assert.same({ 51744, { dev = "xvdc", queues = 2 } }, { block.told(ctx, "data") })
    assert.same({ 51728, { dev = "xvdb" } }, { block.told(ctx, "xvdb") })
    assert.same({ 51712, { dev = "xvda" } }, { block.told({ desc = {} }, "xvda") })
    assert.is_nil((block.told(ctx, "nothing")))
  end)

  local function rows(db)
    local list = {}
    for row in db:prepare("SELECT v FROM t ORDER BY v"):rows() do list[#list + 1] = row.v end
    return list
  end

  it("keeps a database, which is there again", function()
    xenkit.run(function(ctx)
      local disk <close> = assert(block.memory(ctx.world, 8 << 20))
      do
        local db <close> = assert(core_db.open { disk = disk })
        assert(db:exec "CREATE TABLE t(v); INSERT INTO t VALUES(1), (2)")
      end
      local db <close> = assert(core_db.open { disk = disk.raw })
      assert.same({ 1, 2 }, rows(db))
    end)
  end)

  it("ends a database with the disk that it is on", function()
    xenkit.run(function(ctx)
      local disk = assert(block.memory(ctx.world, 8 << 20))
      local db = assert(core_db.open { disk = disk })
      assert(db:exec "CREATE TABLE t(v)")
      disk:close()
      assert.has_error(function() db:exec "SELECT 1" end, "attempt to use a closed database")
      db:close()
      local other = assert(block.memory(ctx.world, 8 << 20))
      other:write(0, ("not blank"):rep(64):sub(1, 512))
      local none, err, code = core_db.open { disk = other }
      assert.is_nil(none)
      assert.truthy(err:find "a database on a disk")
      assert.equal("XK_EPROTO", code)
      _G.left_open = assert(core_db.open { disk = assert(block.memory(ctx.world, 8 << 20)) }) -- the world ends it
    end)
    assert.has_error(function() _G.left_open:exec "SELECT 1" end)
    _G.left_open = nil
  end)
end)
