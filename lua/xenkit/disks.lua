--- Serves disks: back ends for all of a domain's `backend/vbd`. An image is named by the node `params`:
--
--     NAME            a file of the folder that the service was given
--     direct:NAME     the same past Linux' page cache (O_DIRECT)
--     vhd:NAME        a Virtual Hard Disk of that folder, with the parents that it names
--     memory:64M      memory, gone with the device: also when its domain is saved
--     vbd:xvdb        a disk of this domain's own, passed on
--     part:2:IMAGE    a partition of another image
--     limit:500:8M:IMAGE   another image, with so many requests and bytes a second; 0: no limit
--     overlay:64M:IMAGE    another image that is only read; what is written is each disk's own, in memory
--     luks:KEY:IMAGE       what is in another image with a LUKS1 header; KEY is a file of the folder of keys
--     xts:KEY:IMAGE        what is in another image, encrypted with AES-XTS and no header
--     fault:100:IMAGE      another image of which about one request in so many fails, for tests
--     power:7:IMAGE        another image, of which what was not flushed is lost, but for a random part, when its domain
--                          ends: for tests; the number, or 0 for one of each time's own, chooses
--
-- A file is open once; several may read it, one may write it.
-- @module xenkit.disks
local backends = require "xenkit.backends"
local block = require "xenkit.block"
local core = require "xenkit.core.block"
local partition = require "xenkit.partition"
local size = require "xenkit.size"
local core_stream = require "xenkit.core.stream"
local task = require "xenkit.task"
local vhd = require "xenkit.vhd"

local M = {}
local Disks = {}
Disks.__index = Disks
Disks.__name = "xenkit.disks"

local DISKS_MAX = 1024
local RETRIES = 40 -- of 50 ms

--- @param opts images = ctx.dir.NAME or nil, keys = ctx.dir.NAME or nil, log(level, text, fields), queues = rings of
-- which a disk may have so many, 1 .. 4
function M.new(ctx, opts)
  return setmetatable({ ctx = ctx, images = opts.images, keys = opts.keys, queues = opts.queues, log = opts.log,
    open = {}, files = {},
    backends = backends.new(ctx, "vbd", "disk", DISKS_MAX, opts.log) }, Disks)
end

local makers = {}

-- `image` is told what files it uses. @return disk, and of one that is passed on {path, front}; nil, message, code
local function make(self, params, readonly, image)
  local kind, what = params:match "^(%l+):(.+)$"
  local maker = makers[kind or "file"]
  if not maker then
    return nil, params .. ": an image is a file, direct:FILE, vhd:FILE, memory:SIZE, vbd:NAME, or part:, limit:, "
      .. "overlay:, luks:, xts:, fault:, power: of one",
      "XK_EINVAL"
  end
  return maker(self, what or params, readonly, image)
end

-- `over(disk)` makes a layer over the image that `rest` names.
local function layer(self, rest, readonly, image, over)
  local disk, under, code = make(self, rest, readonly, image)
  if not disk then return nil, under, code end
  local top, err
  top, err, code = over(disk)
  if top then return top, under end
  disk:close()
  if under and under.front ~= disk then under.front:close() end
  return nil, rest .. ": " .. err, code
end

-- "7:IMAGE": 7, IMAGE; nil if it is not written so, or the number is none that there is.
local function number_of(what)
  local n, rest = what:match "^(%d+):(.+)$"
  if not n or #n > 18 then return nil end
  return tonumber(n), rest
end

function makers.part(self, what, readonly, image)
  local n, rest = number_of(what)
  if not n then return nil, "part:" .. what .. ": it is written as part:1:IMAGE", "XK_EINVAL" end
  image.part = true
  return layer(self, rest, readonly, image, function(disk) return partition.open(disk, n) end)
end

function makers.limit(self, what, readonly, image)
  local requests, after = number_of(what)
  local text, rest = (after or ""):match "^(%w+):(.+)$"
  local bytes = text and size.read(text)
  if not bytes then return nil, "limit:" .. what .. ": it is written as limit:500:8M:IMAGE", "XK_EINVAL" end
  local limits = { requests = requests, bytes = bytes }
  return layer(self, rest, readonly, image, function(disk) return disk:throttle(limits) end)
end

function makers.overlay(self, what, _, image)
  local text, rest = what:match "^(%w+):(.+)$"
  local bytes = text and size.read(text)
  if not bytes then return nil, "overlay:" .. what .. ": it is written as overlay:64M:IMAGE", "XK_EINVAL" end
  return layer(self, rest, true, image, function(disk) return disk:overlay(bytes) end)
end

-- Encryption is in domain-crypt alone, which a service with keys runs in. The name is put together, so that `xenkit
-- build`, which looks for names, does not take that program for every disk service.
local function crypt_module()
  local there, crypt = pcall(require, ("xenkit.%s"):format "crypt")
  if there then return crypt end
  return nil, "this domain program has no encryption", "XK_ENOSYS"
end

local function open_key(self, crypt, name)
  local fd, err, code = self.keys:read(name)
  if not fd then return nil, "the key " .. err, code end
  local key
  key, err, code = crypt.key(fd)
  if not key then return nil, ("the key %s: %s"):format(name, err), code end
  return key
end

-- `kind` is luks or xts.
local function encrypted(self, kind, what, readonly, image)
  local name, rest = what:match "^([^:]+):(.+)$"
  if not name then
    return nil, ("%s:%s: it is written as %s:KEY:IMAGE"):format(kind, what, kind), "XK_EINVAL"
  end
  if not self.keys then
    return nil, ("%s:%s: this service was given no folder of keys (keys=FOLDER); a stub domain has none")
      :format(kind, what), "XK_ENOENT"
  end
  local crypt, err, code = crypt_module()
  if not crypt then return nil, ("%s:%s: %s"):format(kind, what, err), code end
  local key <close>, e, c = open_key(self, crypt, name)
  if not key then return nil, ("%s:%s: %s"):format(kind, what, e), c end
  return layer(self, rest, readonly, image, function(disk)
    local plain, why, what_code = crypt[kind](disk, key)
    if not plain then why = ("%s (key %s)"):format(why, name) end
    return plain, why, what_code
  end)
end

function makers.luks(self, what, readonly, image) return encrypted(self, "luks", what, readonly, image) end
function makers.xts(self, what, readonly, image) return encrypted(self, "xts", what, readonly, image) end

function makers.fault(self, what, readonly, image)
  local n, rest = number_of(what)
  if not n then return nil, "fault:" .. what .. ": it is written as fault:100:IMAGE", "XK_EINVAL" end
  return layer(self, rest, readonly, image, function(disk) return disk:fault { one_in = n } end)
end

function makers.power(self, what, readonly, image)
  local seed, rest = number_of(what)
  if not seed then return nil, "power:" .. what .. ": it is written as power:7:IMAGE", "XK_EINVAL" end
  if seed == 0 then
    local bytes, err, code = self.ctx.world:entropy(7)
    if not bytes then return nil, ("power:%s: %s; a number instead of 0 needs none"):format(what, err), code end
    seed = string.unpack("<I7", bytes) | 1
  end
  return layer(self, rest, readonly, image, function(disk) return disk:power(seed) end)
end

function makers.memory(self, what)
  local bytes = size.read(what)
  if not bytes or bytes < 512 or bytes > 1 << 40 then
    return nil, "memory:" .. what .. ": a size is a number with K, M or G, such as 64M", "XK_EINVAL"
  end
  return block.memory(self.ctx.world, bytes // 512 * 512)
end

-- Taken when it is needed and let go of after, so that whoever serves it may give its image to another meanwhile.
function makers.vbd(self, what)
  local ctx = self.ctx
  local number, told = block.told(ctx, what)
  local path = number and "device/vbd/" .. number
  if not path or not ctx.store:read(path .. "/backend") then
    return nil, "vbd:" .. what .. ": this domain has no such disk", "XK_ENOENT"
  end
  local disk, err, code = block.front(ctx, path, told)
  if not disk then return nil, err, code end
  local ok
  ok, err, code = disk:wait(30)
  if not ok then
    disk:close()
    return nil, what .. ": " .. err, code
  end
  return disk, { path = path, front = disk }
end

local function let_go(self, under)
  under.front:retire()
  for _ = 1, 100 do
    local state = self.ctx.store:read(under.path .. "/state")
    if not state or state == "6" then break end
    task.sleep(0.02)
  end
  under.front:close()
end

-- A file has one image that writes it, or several that read it; partitions of it do not know of each other.
local function claim(self, image, name, readonly)
  local f = self.files[name] or { holders = 0, writers = 0, parts = 0 }
  local others = f.holders - (image.part and f.parts or 0)
  if others > 0 and (f.writers > 0 or not readonly) then
    return nil, name .. " is in use by another image", "XK_EBUSY"
  end
  self.files[name] = f
  f.holders = f.holders + 1
  if not readonly then f.writers = f.writers + 1 end
  if image.part then f.parts = f.parts + 1 end
  image.claims[#image.claims + 1] = { name = name, readonly = readonly }
  return true
end

local function unclaim(self, image)
  for _, c in ipairs(image.claims) do
    local f = self.files[c.name]
    f.holders = f.holders - 1
    if not c.readonly then f.writers = f.writers - 1 end
    if image.part then f.parts = f.parts - 1 end
    if f.holders == 0 then self.files[c.name] = nil end
  end
  image.claims = {}
end

local function open_file(self, name, readonly, direct)
  if not self.images then return nil, name .. ": this service was given no folder of images", "XK_ENOENT" end
  return self.images:image(name, readonly, direct)
end

-- Once: whoever looks for the reason of a slow disk finds it.
local function tell_of_aio(self)
  if self.aio == nil then
    self.aio = block.aio(self.ctx.world)
    if not self.aio and self.log then
      self.log("warning", "there is no io_uring here (a kernel or a container may forbid it): requests to a file are "
        .. "done one after the other")
    end
  end
end

local function file(self, name, readonly, image, direct)
  local ok, e, c = claim(self, image, name, readonly)
  if not ok then return nil, e, c end
  local fd, err, code = open_file(self, name, readonly, direct)
  if not fd then return nil, err, code end
  tell_of_aio(self)
  return block.file(self.ctx.world, fd, readonly, direct and err)
end

function makers.file(self, name, readonly, image) return file(self, name, readonly, image) end
function makers.direct(self, name, readonly, image) return file(self, name, readonly, image, true) end

-- Parents are found in the same folder, wherever they were when the image was made.
function makers.vhd(self, name, readonly, image)
  local function open(file_name, as_readonly) return open_file(self, file_name, as_readonly ~= false) end
  local chain, err, code = vhd.chain(open, name, function(_, said) return vhd.base_name(said) end)
  if not chain then return nil, err, code end
  for i, level in ipairs(chain) do
    local ok, e, c = claim(self, image, level.name, readonly or i > 1)
    if not ok then return nil, e, c end
  end
  local fds
  fds, err, code = vhd.open_all(chain, open, readonly or false, core_stream.handle_close)
  if not fds then return nil, err, code end
  return block.vhd(self.ctx.world, fds, readonly)
end

-- A file, or a disk passed on, is opened once for all whose it is; who of them may use it is decided when they connect
-- (core.back). Memory is each disk's own, and so are an overlay and a disk that loses its power.
local function take_image(self, path, params, readonly)
  local key = (params:match "^memory:" or params:match "overlay:" or params:match "power:") and path or params
  local image = self.open[key]
  if image and (not image.disk or image.readonly and not readonly) then
    return nil, params .. " is in use by another domain", "XK_EBUSY"
  end
  if not image then
    image = { readonly = readonly, users = 0, key = key, claims = {}, name = params }
    self.open[key] = image -- while it is being made, too: a disk that is passed on takes its time
    local under, code
    image.disk, under, code = make(self, params, readonly, image)
    if not image.disk then
      self.open[key] = nil
      unclaim(self, image)
      return nil, under, code
    end
    image.under = under
  end
  image.users = image.users + 1
  return image
end

local function drop_image(self, image)
  image.users = image.users - 1
  if image.users > 0 then return end
  local at_risk = image.disk:at_risk()
  if at_risk and self.log then
    self.log("info", ("%s loses its power with %d sectors that were not flushed"):format(image.name, at_risk))
  end
  if not image.under or image.under.front ~= image.disk then image.disk:close() end
  if image.under then let_go(self, image.under) end
  self.open[image.key] = nil
  unclaim(self, image)
end

-- The one who had an image may be on the way out: a domain that was restarted, a disk that moved.
local function wait_for_image(self, path, params, mode)
  local image, err, code
  for _ = 1, RETRIES do
    image, err, code = take_image(self, path, params, mode:sub(1, 1) ~= "w")
    if image or code ~= "XK_EBUSY" then break end
    task.sleep(0.05)
    if not self.ctx.store:read(path .. "/params") then return nil end
  end
  if not image then self.backends:refuse(path, err, code) end
  return image
end

local function serve(self, path)
  local store = self.ctx.store
  local params, mode = store:read(path .. "/params"), store:read(path .. "/mode") or "r"
  if not params then return end -- gone already, or not whole yet: its next event comes
  local image = wait_for_image(self, path, params, mode)
  if not image then return end
  local _ <close> = setmetatable({}, { __close = function() drop_image(self, image) end })
  local back <close>, err, code = core.back(self.ctx.world, store.raw, path, image.disk.raw, { queues = self.queues })
  if not back then return self.backends:refuse(path, err, code) end
  self.backends:follow(path, back, params .. " is in use by another domain; it is waited for")
end

--- Serves for ever.
function Disks:run()
  self.backends:run(function(path) serve(self, path) end)
end

return M
