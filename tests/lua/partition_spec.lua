-- xenkit.partition, judged by sfdisk (util-linux), which writes the tables; and layers of disks.
local ok = pcall(require, "xenkit.core.world")

describe("xenkit.partition", function()
  if not ok then
    pending("xenkit.so is not built")
    return
  end
  local block = require "xenkit.block"
  local json = require "xenkit.json"
  local partition = require "xenkit.partition"
  local xenkit = require "xenkit"

  local BYTES = 16 << 20
  local have = os.execute "PATH=$PATH:/sbin:/usr/sbin command -v sfdisk > /dev/null"

  local function sh(command)
    local p = assert(io.popen("PATH=$PATH:/sbin:/usr/sbin; " .. command))
    local out = p:read "a"
    assert(p:close(), command)
    return out
  end

  -- A disk in memory with the table that `script` describes, and what sfdisk says of it.
  local function made(world, script)
    local path = os.tmpname()
    os.remove(path)
    path = path .. "-img" -- sfdisk puts a p between a digit and a number
    sh(("truncate -s %d %s; printf '%s' | sfdisk -q %s > /dev/null 2>&1"):format(BYTES, path, script, path))
    local said = assert(json.decode(sh("sfdisk -J " .. path))).partitiontable
    local f = assert(io.open(path, "rb"))
    local bytes = f:read "a"
    f:close()
    os.remove(path)
    local disk = assert(block.memory(world, BYTES))
    assert(disk:write(0, bytes))
    return disk, said
  end

  local function same(list, said)
    assert.equal(#said.partitions, #list)
    for i, p in ipairs(said.partitions) do
      assert.equal(tonumber(p.node:match "%d+$"), list[i].number)
      assert.equal(p.start * 512, list[i].at)
      assert.equal(p.size * 512, list[i].bytes)
    end
  end

  it("reads what sfdisk writes: MBR with logical partitions", function()
    if not have then return pending("sfdisk is not here") end
    xenkit.run(function(ctx)
      local script = "label: dos\\n2048,4096,L,*\\n,4096,82\\n,,E\\n,2048,L\\n,4096,7\\n"
      local disk <close>, said = made(ctx.world, script)
      local list = assert(partition.list(disk))
      said.partitions = (function(t) -- the extended one itself holds nothing
        local out = {}
        for _, p in ipairs(t) do
          if p.type ~= "5" and p.type ~= "f" then out[#out + 1] = p end
        end
        return out
      end)(said.partitions)
      same(list, said)
      assert.same({ "83", "82", "83", "07" }, { list[1].type, list[2].type, list[3].type, list[4].type })
      assert.is_true(list[1].boot)
    end)
  end)

  it("reads what sfdisk writes: GPT, and its backup when the first is damaged", function()
    if not have then return pending("sfdisk is not here") end
    xenkit.run(function(ctx)
      local script = "label: gpt\\nsize=4096,type=L,name=root\\nsize=8192,type=S,name=\"two words\"\\n"
      local disk <close>, said = made(ctx.world, script)
      local list = assert(partition.list(disk))
      same(list, said)
      assert.same({ "root", "two words" }, { list[1].name, list[2].name })
      for i, p in ipairs(said.partitions) do
        assert.same({ p.type:lower(), p.uuid:lower() }, { list[i].type, list[i].uuid })
      end
      assert(disk:write(1024, ("x"):rep(512)))
      assert.same(list, assert(partition.list(disk)))
      assert(disk:write(BYTES - 512, ("x"):rep(512)))
      assert.same({ nil, "the disk has a GPT, and neither copy of it is whole", "XK_EINVAL" }, { partition.list(disk) })
    end)
  end)

  local function table_of(entries)
    local t = {}
    for i = 1, 4 do
      local e = entries[i] or { 0, 0, 0 }
      t[i] = ("<I1c3I1c3I4I4"):pack(0, "\0\0\0", e[1], "\0\0\0", e[2], e[3])
    end
    return ("\0"):rep(446) .. table.concat(t) .. "\x55\xaa"
  end

  it("opens one as a disk of its own", function()
    xenkit.run(function(ctx)
      local disk = assert(block.memory(ctx.world, 1 << 20))
      assert(disk:write(0, table_of { { 0x83, 8, 16 }, { 0x83, 24, 100000 } }))
      assert.same({ nil, "the disk has no partition 3", "XK_ENOENT" }, { partition.open(disk, 3) })
      assert.same({ nil, "partition 2 goes beyond the end of the disk", "XK_EINVAL" }, { partition.open(disk, 2) })
      assert(disk:write(8 * 512, ("a"):rep(512)))
      local first <close> = assert(partition.open(disk, 1))
      assert.equal(16 * 512, first:info().bytes)
      assert.equal(("a"):rep(512), first:read(0, 512))
      assert.equal("XK_EINVAL", select(3, first:read(16 * 512, 512)))
      assert.has_error(function() disk:read(0, 512) end) -- it is gone: the other stands on it
    end)
  end)

  it("survives tables that make no sense", function()
    xenkit.run(function(ctx)
      local disk <close> = assert(block.memory(ctx.world, 1 << 20))
      assert.equal("XK_ENOENT", select(3, partition.list(disk)))
      assert(disk:write(0, table_of { { 5, 8, 16 } }))
      assert.same({ nil, "an extended partition has no table", "XK_EINVAL" }, { partition.list(disk) })
      assert(disk:write(8 * 512, table_of { { 0x83, 1, 1 }, { 5, 0, 16 } }))
      assert.same({ nil, "its extended partitions go in a circle", "XK_EINVAL" }, { partition.list(disk) })
      assert(disk:write(0, table_of { { 0xee, 1, 0xffffffff } }))
      math.randomseed(5)
      for _ = 1, 300 do
        local junk = {}
        for i = 1, 512 do junk[i] = string.char(math.random(0, 255)) end
        assert(disk:write(512, "EFI PART" .. table.concat(junk):sub(9)))
        assert.equal("XK_EINVAL", select(3, partition.list(disk)))
      end
    end)
  end)

  it("limits a disk, and lets one fail", function()
    xenkit.run(function(ctx)
      local disk <close> = assert(assert(block.memory(ctx.world, 1 << 20)):throttle { requests = 200 })
      local began = ctx.world:now()
      for _ = 1, 40 do assert(disk:read(0, 512)) end
      local took = ctx.world:now() - began
      assert.is_true(took > 0.08 and took < 1) -- 20 at once, the others in a tenth of a second
      local bad <close> = assert(assert(block.memory(ctx.world, 1 << 20)):fault { at = 4096, bytes = 512, after = 1 })
      assert(bad:read(0, 8192))
      assert(bad:read(0, 4096))
      assert.equal("XK_EIO", select(3, bad:read(0, 8192)))
      assert.has_error(function() disk:throttle { requests = -1 } end)
      assert.has_error(function() disk:slice(100, 512) end)
    end)
  end)
end)
