-- xenkit.crypt: encrypted disks over images of memory and of files, and headers in files.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit.crypt", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local block = require "xenkit.block"
  local core = require "xenkit.core.crypt"
  local core_image = require "xenkit.core.image"
  local crypt = require "xenkit.crypt"
  local host = require "xenkit.core.host"
  local task = require "xenkit.task"
  local xenkit = require "xenkit"

  local SPEC = { iterations = 20000, digest_iterations = 1000 }
  local KEY64 = {}
  for i = 1, 64 do KEY64[i] = string.char(i * 3 % 256) end
  KEY64 = table.concat(KEY64)

  -- fn(path) with an encrypted image of `bytes` in a file, which "pass" opens
  local function with_image(bytes, fn)
    local path = os.tmpname()
    local function run()
      local key <close> = crypt.key "pass"
      local first = assert(core.create(assert(host.open(path, "rw")), SPEC, key))
      assert(core_image.truncate(assert(host.open(path, "rw")), first + bytes))
      return fn(path)
    end
    local good, err = pcall(run)
    os.remove(path)
    assert(good, err)
  end

  local function open(ctx, path, readonly)
    return assert(block.file(ctx.world, assert(host.open(path, readonly and "r" or "rw")), readonly))
  end

  it("opens a disk with a header, and lets others run meanwhile", function()
    with_image(1 << 20, function(path)
      xenkit.run(function(ctx)
        local key <close> = crypt.key "pass"
        local turns, done = 0, false
        local other = task.spawn(function()
          while not done do turns = turns + 1 task.sleep(0) end
        end)
        local disk = assert(crypt.luks(open(ctx, path), key))
        done = true
        other:join()
        assert.is_true(turns > 5)
        assert.equal(1 << 20, disk:info().bytes)
        assert.is_false(disk:info().discard)
        local text = ("plain text"):rep(51200)
        assert.is_true(disk:write(512, text))
        assert.equal(text, disk:read(512, #text))
        assert.is_true(disk:flush())
        disk:close()
        local again <close> = assert(crypt.luks(open(ctx, path, true), key))
        assert.equal(text, again:read(512, #text))
        assert.equal("XK_EROFS", select(3, again:write(0, ("x"):rep(512))))
      end)
      local f <close> = assert(io.open(path, "rb"))
      assert.is_nil(f:read "a":find("plain text", 1, true))
    end)
  end)

  it("says that a key does not open it, or that there is nothing to open", function()
    with_image(1 << 20, function(path)
      xenkit.run(function(ctx)
        local wrong <close> = crypt.key "pass\n"
        local disk <close> = open(ctx, path)
        assert.same({ nil, "no key slot opens with that key", "XK_EACCES" }, { crypt.luks(disk, wrong) })
        assert.is_true(#disk:read(0, 512) == 512) -- it is there as before
        local blank <close> = assert(block.memory(ctx.world, 1 << 20))
        assert.same({ nil, "it has no LUKS header", "XK_EPROTO" }, { crypt.luks(blank, wrong) })
      end)
    end)
  end)

  it("encrypts without a header", function()
    xenkit.run(function(ctx)
      local key <close> = crypt.key(KEY64)
      local below = assert(block.memory(ctx.world, 1 << 20))
      local disk <close> = assert(crypt.xts(below, key, { discard = true }))
      assert.is_true(disk:info().discard)
      assert.has_error(function() below:info() end)
      assert.is_true(disk:write(0, ("abcd"):rep(1024)))
      assert.equal(("abcd"):rep(1024), disk:read(0, 4096))
      for _, bad in ipairs { "short", ("x"):rep(64) } do
        local k <close> = crypt.key(bad)
        local none, err, code = crypt.xts(assert(block.memory(ctx.world, 1 << 20)), k)
        assert.is_nil(none)
        assert.truthy(err:find "32 or 64 bytes, whose halves differ")
        assert.equal("XK_EINVAL", code)
      end
    end)
  end)

  it("ends what is opened with its disk", function()
    with_image(1 << 20, function(path)
      xenkit.run(function(ctx)
        local key <close> = crypt.key "pass"
        local disk = open(ctx, path)
        local opening = assert(core.luks(disk.raw, key))
        assert.has_error(function() disk:slice(0, 512) end) -- it is in use
        assert.has_error(function() core.open(disk.raw, opening) end) -- not open yet
        disk:close()
        assert.has_error(function() opening:step(1) end)
        opening:close()
        key:close()
        assert.has_error(function() core.luks(open(ctx, path).raw, key) end)
      end)
    end)
  end)

  it("adds and removes keys of a file", function()
    with_image(0, function(path)
      local function fd() return assert(host.open(path, "rw")) end
      local key <close> = crypt.key "pass"
      local other <close> = crypt.key "other"
      assert.equal(1, core.add(fd(), key, other, 1000))
      assert.same({ nil, "no key slot opens with that key", "XK_EACCES" },
        { core.add(fd(), crypt.key "wrong", other, 1000) })
      local info = assert(core.info(fd()))
      assert.same({ active = true, iterations = 1000 }, info.slots[1])
      assert.equal("aes-xts-plain64", info.cipher)
      assert.equal(2 << 20, info.first)
      assert.equal(0, info.bytes)
      assert.is_true(core.remove(fd(), 0))
      assert.same({ nil, "key slot 1 is the last one: nothing would open without it", "XK_EBUSY" },
        { core.remove(fd(), 1) })
      for i = 0, 7 do if i ~= 1 then assert.equal(i, core.add(fd(), other, key, 1000)) end end
      assert.same({ nil, "all of its key slots are in use; remove one first", "XK_ENOSPC" },
        { core.add(fd(), other, key, 1000) })
    end)
  end)

  it("takes all bytes of a key file", function()
    local path = os.tmpname()
    local function key_of(bytes)
      local f <close> = assert(io.open(path, "wb"))
      f:write(bytes)
      f:close()
      return crypt.key(assert(host.open(path, "r")))
    end
    assert.same({ nil, "it is empty: invalid argument", "XK_EINVAL" }, { key_of "" })
    assert.equal("XK_E2BIG", select(3, key_of(("x"):rep((1 << 20) + 1))))
    with_image(512, function(image)
      xenkit.run(function(ctx)
        local key <close> = assert(key_of "pass")
        local disk <close> = assert(crypt.luks(open(ctx, image), key))
        assert.equal(512, disk:info().bytes)
      end)
    end)
    os.remove(path)
  end)
end)
