--- Disks: this domain's own, and images, read and written in the running task.
--
--     local disk = assert(ctx.disk.data)          -- as the domain's description names it; or ctx.disk.xvda
--     assert(disk:wait(10))                       -- until its back end is there
--     disk:write(0, ("x"):rep(4096))
--     disk:flush()                                -- now it is on the medium
--     print(#disk:read(0, 4096), disk:info().bytes)
--
-- Positions and lengths are in bytes, and multiples of 512 (of `info().sector`, where that is more). A failure gives
-- nil, message, "XK_ENAME". When the back end goes and another one comes, calls only take longer.
-- @module xenkit.block
local core = require "xenkit.core.block"
local task = require "xenkit.task"

local M = {}
local Disk = {}
Disk.__index = Disk
Disk.__name = "xenkit.disk"

local AT_ONCE, PIECE = 8, 1 << 18

local function wrap(raw, err, code)
  if not raw then return nil, err, code end
  return setmetatable({ raw = raw }, Disk)
end

--- A disk of what another core module made, or its failure.
function M.of(raw, err, code) return wrap(raw, err, code) end

--- The disk whose folder in the store is `path`, "device/vbd/51712". It may be used when `wait` gave true.
-- @param opts queues = 1 .. 4 rings, or as many as its back end offers; 1 if it is not said
function M.front(ctx, path, opts)
  local raw, err, code = core.front(ctx.world, ctx.store.raw, path, opts)
  if not raw then return nil, err, code end
  return wrap(ctx.store:keep(raw))
end

--- An image of zeroes in this domain's memory.
function M.memory(world, bytes) return wrap(core.memory(world, bytes)) end

--- An image in a file whose descriptor was handed to this domain, and belongs to the image from now on.
function M.file(world, fd, readonly, direct) return wrap(core.file(world, fd, readonly, direct)) end

--- Whether requests to files are under way side by side here, or one after the other.
function M.aio(world) return core.aio(world) end

-- Starts all of `list` ({op, at, what, fua}), so many at once, and waits for all.
-- @return results, or nil, message, code
local function run(self, list)
  local results, under_way, failed = {}, {}, nil
  local function take(i)
    local u = under_way[i]
    under_way[i] = nil
    while true do
      local r, err, code = u.request:result()
      if r or code ~= "XK_EAGAIN" then
        results[i] = r
        if not r then failed = failed or { err, code } end
        return
      end
      task.wait(u.id)
    end
  end
  for i, one in ipairs(list) do
    local id = task.wait_id()
    local request, err, code = self.raw:start(id, one[1], one[2], one[3], one[4])
    if not request then
      failed = failed or { err, code }
      break
    end
    under_way[i] = { request = request, id = id }
    if i >= AT_ONCE then take(i - AT_ONCE + 1) end
  end
  for i in pairs(under_way) do take(i) end
  if failed then return nil, table.unpack(failed) end
  return results
end

--- `n` bytes from byte `at` on.
function Disk:read(at, n)
  local list = {}
  for from = 0, n - 1, PIECE do list[#list + 1] = { "read", at + from, math.min(PIECE, n - from) } end
  local r, err, code = run(self, list)
  if not r then return nil, err, code end
  return table.concat(r)
end

--- Writes bytes at byte `at`. With `fua` they are on the medium when it returns.
function Disk:write(at, bytes, fua)
  local list = {}
  for from = 0, #bytes - 1, PIECE do
    list[#list + 1] = { "write", at + from, bytes:sub(from + 1, from + PIECE), fua }
  end
  local r, err, code = run(self, list)
  if not r then return nil, err, code end
  return true
end

local function one(self, ...)
  local r, err, code = run(self, { { ... } })
  if not r then return nil, err, code end
  return true
end

--- Returns when all that was written before is on the medium.
function Disk:flush()
  if not self.raw:info().flush then return true end -- then it is there already
  return one(self, "flush", 0, 0)
end

--- These bytes are not needed any more; they may read as zeroes, or as before.
function Disk:discard(at, n) return one(self, "discard", at, n) end

--- {bytes, sector, readonly, flush, discard, removable, cdrom}
function Disk:info() return self.raw:info() end

--- Counters of the rings, together; nil for an image.
function Disk:stats() return self.raw:stats() end

--- Waits until the disk is connected. @return true; nil, message, code
function Disk:wait(timeout)
  local deadline = timeout and task.world():now() + timeout
  while true do
    local state, err, code = self.raw:state()
    if state then return true end
    if code == "XK_EPEER" then return nil, err, code end
    local id = task.wait_id()
    self.raw:arm(id)
    if not task.wait(id, deadline and math.max(0, deadline - task.world():now())) then
      return nil, "the disk's back end is not there", "XK_ETIMEDOUT"
    end
  end
end

--- A Virtual Hard Disk: descriptors of the image, its parent and so on, which belong to it from now on.
function M.vhd(world, chain, readonly) return wrap(core.vhd(world, chain, readonly)) end

-- Layers take the place of the disk that they stand on: that one is not to be used any more.

--- `n` bytes from byte `at` on, as a disk of its own.
function Disk:slice(at, n) return wrap(self.raw:slice(at, n)) end
--- With a limit: {requests, bytes}, each a second.
function Disk:throttle(limits) return wrap(self.raw:throttle(limits)) end
--- One over which what is written stays in memory, `bytes` of it at most, and is forgotten at the end.
function Disk:overlay(bytes) return wrap(self.raw:overlay(bytes)) end
--- One that fails as it is told, for tests: {at, bytes, after, one_in, seed}.
function Disk:fault(what) return wrap(self.raw:fault(what)) end
--- One with a write cache that is lost when it is closed, but for a random part, as when the power goes; for tests.
function Disk:power(seed) return wrap(self.raw:power(seed)) end
--- Of such a disk: how many sectors would be lost, or half lost, if it were closed now; nil of others.
function Disk:at_risk() return self.raw:at_risk() end

--- Lets go of the disk, so that its back end may serve its image to another. It may be had again by a new `front`.
function Disk:retire() self.raw:retire() end

function Disk:close() self.raw:close() end
Disk.__close = Disk.close

--- The number that Xen gives to the disk named `dev`, "xvda" to "xvdz"; the folder in the store is named so.
function M.number_of(dev)
  local letter = dev:match "^xvd(%l)$"
  if not letter then return nil, "'" .. dev .. "' is not one of xvda to xvdz", "XK_EINVAL" end
  local n = letter:byte() - ("a"):byte()
  return n < 16 and 202 << 8 | n << 4 or 1 << 28 | n << 8
end

--- What the domain's description says of the disk `name`, which may also be a device name: number, {dev, queues}
function M.told(ctx, name)
  local told = ctx.desc.disk and ctx.desc.disk[name] or { dev = name }
  return M.number_of(told.dev), told
end

--- What becomes ctx.disk: disks by the names of the domain's description, or by device names, made when asked for.
function M.disks(ctx)
  return setmetatable({}, { __index = function(t, name)
    local number, told = M.told(ctx, name)
    if not number or not ctx.store then return nil end
    local disk, err = M.front(ctx, "device/vbd/" .. number, told)
    if not disk then error(name .. ": " .. tostring(err), 2) end
    rawset(t, name, disk)
    return disk
  end })
end

return M
