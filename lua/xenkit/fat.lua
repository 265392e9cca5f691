--- FAT file systems, for services with a disk.
--
--     local fs <close> = assert(fat.mount(ctx.disk.data, { format = true })) -- a blank disk is formatted first
--     fs:write("/conf/site.json", text)
--     print(fs:read "/conf/site.json", #fs:list "/conf")
--     fs:sync()                                                        -- now it is on the medium
--
-- Keep it in a `local fs <close>`, so that it is unmounted however the service ends; else the next mount has to look at
-- all of it.
--
-- Paths are UTF-8 and found whatever the case of their letters. A failure gives nil, message, "XK_ENAME". Calls wait
-- for the disk, and other tasks with them. After a cut of the power all is there that a sync was told of; the next
-- mount puts right what was half done.
-- @module xenkit.fat
local core = require "xenkit.core.fat"

local M = {}
local Fs = {}
Fs.__index = Fs
Fs.__name = "xenkit.fs"

local PIECE, BLANK = 1 << 20, 65536

local function raw_of(disk) return type(disk) == "table" and disk.raw or disk end

local function is_blank(disk)
  local bytes = type(disk) == "table" and disk:read(0, math.min(BLANK, disk:info().bytes))
  return bytes and not bytes:find "[^\0]"
end

local function options_for(options)
  local spec = {}
  for k, v in pairs(type(options) == "table" and options or {}) do spec[k] = v end
  spec.id = spec.id or math.random(0, 0xffffffff)
  return spec
end

--- An empty file system on a disk of `xenkit.block`. What was there is lost.
-- @param options type (12, 16, 32), cluster (bytes), label, id
function M.format(disk, options)
  local ok, err, code = core.format(raw_of(disk), options_for(options))
  if ok then return true end
  if code == "XK_ERANGE" then
    err = "no FAT" .. (options and options.type or "") .. " has so many clusters or so few"
  end
  return nil, err, code
end

--- The file system that `core.mount` gave.
function M.over(raw) return setmetatable({ raw = raw }, Fs) end

--- The file system on a disk of `xenkit.block`.
-- @param options readonly; format: true, or options of `format`, for a disk whose first 64 KiB are zero
function M.mount(disk, options)
  options = options or {}
  if options.format and is_blank(disk) then
    local ok, err, code = M.format(disk, options.format)
    if not ok then return nil, err, code end
  end
  local raw, err, code = core.mount(raw_of(disk), { readonly = options.readonly })
  if not raw then
    if code == "XK_EPROTO" then err = "there is no FAT file system, or it is damaged (fat.check tells more)" end
    return nil, err, code
  end
  return M.over(raw)
end

--- Looks at the whole of what is on a disk, and with `repair` puts right what was left half done.
-- @return how many findings are damage, list of {bad, text}
function M.check(disk, repair) return core.check(raw_of(disk), repair) end

--- All of a file.
function Fs:read(path)
  local f <close>, err, code = self.raw:open(path)
  if not f then return nil, err, code end
  local parts, at = {}, 0
  repeat
    local part
    part, err, code = f:read(at, PIECE)
    if not part then return nil, path .. ": " .. err, code end
    at = at + #part
    parts[#parts + 1] = part
  until #part < PIECE
  return table.concat(parts)
end

--- A file's new contents. Those of a file that is there stay until the new ones are whole, also when the power is cut.
function Fs:write(path, bytes)
  local aside = path
  local f, err, code = self.raw:open(path, "new")
  if code == "XK_EEXIST" then
    aside = path .. "~"
    self.raw:remove(aside)
    f, err, code = self.raw:open(aside, "new")
  end
  if not f then return nil, err, code end
  local ok
  ok, err, code = f:write(0, bytes)
  f:close()
  if ok and aside ~= path then ok, err, code = self.raw:rename(aside, path) end
  if ok then return true end
  self.raw:remove(aside)
  return nil, path .. ": " .. err, code
end

--- A file to be read and written in parts: read(at, n), write(at, bytes), size(), truncate(n), sync(), close().
-- @param how "read", "write", "create", "new"
function Fs:open(path, how) return self.raw:open(path, how) end

--- Entries of a directory, sorted by name: {name, size, directory, modified, readonly, ...}.
function Fs:list(path)
  local list, err, code = self.raw:list(path or "/")
  if not list then return nil, err, code end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

--- All below a directory: an iterator of path, entry, in which a directory comes before what is in it.
function Fs:walk(path)
  return coroutine.wrap(function()
    local function go(at)
      for _, e in ipairs(self:list(at) or {}) do
        local there = (at == "/" and "" or at) .. "/" .. e.name
        coroutine.yield(there, e)
        if e.directory then go(there) end
      end
    end
    go(path or "/")
  end)
end

--- The directory and those above it, where they are not there yet.
function Fs:make_path(path)
  local at = ""
  for part in path:gmatch "[^/]+" do
    at = at .. "/" .. part
    local ok, err, code = self.raw:mkdir(at)
    if not ok and code ~= "XK_EEXIST" then return nil, err, code end
  end
  local e, err, code = self.raw:stat(path)
  if e and not e.directory then return nil, path .. ": not a directory", "XK_ENOTDIR" end
  return e and true, err, code
end

function Fs:stat(path) return self.raw:stat(path) end
function Fs:mkdir(path) return self.raw:mkdir(path) end
--- A file or an empty directory is gone.
function Fs:remove(path) return self.raw:remove(path) end
--- Another name, also that of a file, which is gone then.
function Fs:rename(from, to) return self.raw:rename(from, to) end
--- Attributes and time: {readonly, hidden, system, archive, modified}.
function Fs:set(path, what) return self.raw:set(path, what) end
--- All that was done is on the medium.
function Fs:sync() return self.raw:sync() end
--- {type, sector, cluster, clusters, free, id, label}
function Fs:info() return self.raw:info() end
--- All is on the medium, and it is marked as sound.
function Fs:unmount() return self.raw:unmount() end
function Fs:close() self.raw:close() end
Fs.__close = Fs.close

return M
