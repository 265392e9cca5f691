--- Serves disks: back ends for all of a domain's `backend/vbd`. An image is named by the node `params`:
--
--     NAME            a file of the folder that the service was given
--     memory:64M      memory, gone with this domain
--     vbd:xvdb        a disk of this domain's own, passed on
--
-- A file is open once; several may read it, one may write it.
-- @module xenkit.disks
local block = require "xenkit.block"
local core = require "xenkit.core.block"
local task = require "xenkit.task"

local M = {}
local Disks = {}
Disks.__index = Disks
Disks.__name = "xenkit.disks"

local DISKS_MAX = 1024
local RETRIES = 40 -- of 50 ms
local UNITS = { K = 1 << 10, M = 1 << 20, G = 1 << 30 }

--- @param opts images = ctx.dir.NAME or nil, log(level, text, fields)
function M.new(ctx, opts)
  return setmetatable({ ctx = ctx, images = opts.images, log = opts.log or function() end, served = {}, open = {},
    count = 0 }, Disks)
end

local makers = {}

function makers.memory(self, what)
  local n, unit = what:match "^(%d+)([KMG]?)$"
  local bytes = n and tonumber(n) * (UNITS[unit] or 1)
  if not bytes or bytes < 512 or bytes > 1 << 40 then
    return nil, "memory:" .. what .. ": a size is a number with K, M or G, such as 64M", "XK_EINVAL"
  end
  return block.memory(self.ctx.world, bytes // 512 * 512)
end

function makers.vbd(self, what)
  local disk = self.ctx.disk[what]
  if not disk then return nil, "vbd:" .. what .. ": this domain has no such disk", "XK_ENOENT" end
  local ok, err, code = disk:wait(30)
  if not ok then return nil, what .. ": " .. err, code end
  return disk
end

function makers.file(self, name, readonly)
  if not self.images then return nil, name .. ": this service was given no folder of images", "XK_ENOENT" end
  local fd, err, code = self.images:image(name, readonly)
  if not fd then return nil, err, code end
  return block.file(self.ctx.world, fd, readonly)
end

-- A file, or a disk passed on, may be used by several who read, or by one who writes. Memory is each disk's own.
local function take_image(self, path, params, readonly)
  local kind, what = params:match "^(%l+):(.+)$"
  local key = kind == "memory" and path or params
  local image = self.open[key]
  if image and not (image.readonly and readonly) then
    return nil, params .. " is in use by another domain", "XK_EBUSY"
  end
  if not image then
    local maker = makers[kind or "file"]
    if not maker then return nil, params .. ": an image is a file, memory:SIZE or vbd:NAME", "XK_EINVAL" end
    local disk, err, code = maker(self, what or params, readonly)
    if not disk then return nil, err, code end
    image = { disk = disk, readonly = readonly, users = 0, key = key, passed_on = kind == "vbd" }
    self.open[key] = image
  end
  image.users = image.users + 1
  return image
end

local function drop_image(self, image)
  image.users = image.users - 1
  if image.users > 0 then return end
  self.open[image.key] = nil
  if not image.passed_on then image.disk:close() end
end

-- Once: what is written there is an event below the folder, which leads here again.
local function refuse(self, path, err, code)
  local text = ("%s %s"):format(code, err)
  if self.ctx.store:read(path .. "/error") == text then return end
  self.log("warning", ("disk %s: %s"):format(path, err), { code = code })
  self.ctx.store:write(path .. "/error", text)
end

-- A disk that was unplugged for good: in a domain that is not the toolstack's, its folder is ours to take away, which
-- the toolstack waits for.
local function tidy(self, path)
  local store = self.ctx.store
  if self.ctx.domid == 0 or store:read(path .. "/online") ~= "0" then return end
  for _ = 1, 100 do
    local state = store:read(path .. "/state")
    if state == "6" then store:rm(path) end
    if not state or state == "6" then return end
    task.sleep(0.02)
  end
end

local function follow(self, path, back)
  local said
  while true do
    local state, err, code = back:state()
    if state == "gone" then return end
    if state ~= said then
      said = state
      self.log(code == "XK_EPEER" and "warning" or "info",
        ("disk %s: %s"):format(path, state or code == "XK_EAGAIN" and "closed" or err))
      if not state then tidy(self, path) end
    else
      local id = task.wait_id()
      back:arm(id)
      task.wait(id)
    end
  end
end

local function serve(self, path)
  local store = self.ctx.store
  local params = store:read(path .. "/params")
  if not params then return end -- gone already, or not whole yet: its next event comes
  if self.count >= DISKS_MAX then
    return refuse(self, path, "there are " .. DISKS_MAX .. " disks already", "XK_ENOSPC")
  end
  local mode = store:read(path .. "/mode") or "r"
  local image, err, code
  for _ = 1, RETRIES do -- the one who had it may be on the way out: a domain that was restarted, a disk that moved
    image, err, code = take_image(self, path, params, mode:sub(1, 1) ~= "w")
    if image or code ~= "XK_EBUSY" then break end
    task.sleep(0.05)
    if not store:read(path .. "/params") then return end
  end
  if not image then return refuse(self, path, err, code) end
  self.count = self.count + 1
  local back
  back, err, code = core.back(self.ctx.world, store.raw, path, image.disk.raw)
  if back then
    self.served[path] = { back = back, params = params, mode = mode }
    follow(self, path, back)
    back:close()
  else
    refuse(self, path, err, code)
  end
  self.count = self.count - 1
  drop_image(self, image)
end

--- Serves for ever.
function Disks:run()
  local busy = {}
  local w <close> = assert(core.watch(self.ctx.world, self.ctx.store.raw, "backend/vbd", 2))
  while true do
    local id = task.wait_id()
    local path = w:next(id)
    if not path then
      task.wait(id)
    elseif not busy[path] then
      busy[path] = true
      task.spawn(function()
        local ok, err = pcall(serve, self, path)
        busy[path], self.served[path] = nil, nil
        if not ok then self.log("error", ("disk %s: %s"):format(path, tostring(err))) end
      end)
    end
  end
end

return M
