--- A folder as one image, which is read without being unpacked. `xenkit crunch DIR -o site.zip` makes one.
--
--     local image = assert(crunch.open(require "site"))       -- xenkit crunch --lua; or any bytes of a ZIP file
--     print(image:read "index.html")
--     for path, file in image:each "img/" do print(path, file.size, file.type) end
--
-- A file is a table: `path`, `size`, `stored` (its bytes in the image), `method` ("stored", "deflated"), `at` (where
-- those begin in the image), `crc`, `time` (seconds after 1970; nil: not known), `type` (media type), `etag`. A failure
-- gives nil, message, "XK_ENAME". An image has `get` and `list`, as what `needs.tree` gives has, and may stand in its
-- place.
-- @module xenkit.crunch
local core = require "xenkit.core.crunch"

local M = {}
local Image = {}
Image.__index = Image
Image.__name = "xenkit.crunch"

--- Looks at the whole directory of an image, so that what is found later lies in it. Contents are looked at when they
-- are read.
-- @param bytes the image, kept as long as it is open
function M.open(bytes)
  local raw, err, code = core.open(bytes)
  if not raw then return nil, err, code end
  return setmetatable({ raw = raw }, Image)
end

--- Makes an image of a table path -> contents.
-- @param options time (of all files), level (1 .. 9, of deflate), align (contents of stored files begin at multiples)
-- @return bytes
function M.make(files, options)
  local paths, parts = {}, {}
  for path in pairs(files) do paths[#paths + 1] = path end
  table.sort(paths)
  local w <close> = assert(core.writer(options))
  for i, path in ipairs(paths) do
    local bytes, err, code = w:add(path, files[path], options and options.time)
    if not bytes then return nil, err, code end
    parts[i] = bytes
  end
  local bytes, err, code = w:finish()
  if not bytes then return nil, err, code end
  parts[#parts + 1] = bytes
  return table.concat(parts)
end

--- What is known of a file, or nil.
function Image:find(path) return self.raw:find(path) end

--- Contents, or the bytes `first` to `last` of them, from 0 and both included, as `http.parse_range` has them. Damage
-- is XK_EPROTO; in a part of a stored file it goes unseen.
function Image:read(path, first, last) return self.raw:read(path, first, last) end

--- Contents as gzip, which costs no more than a copy; of deflated files only.
function Image:gzip(path) return self.raw:gzip(path) end

--- Contents, or nil: it is not there, or damaged.
function Image:get(path) return (self.raw:read(path)) end

--- All paths, sorted.
function Image:list()
  local list = {}
  for i = 1, self.raw:count() do list[i] = self.raw:at(i).path end
  return list
end

--- How many files.
function Image:count() return self.raw:count() end

--- Files whose paths begin with `prefix` (all without): an iterator of path, file, in the order of paths.
function Image:each(prefix)
  prefix = prefix or ""
  local at, n = self.raw:seek(prefix) - 1, self.raw:count()
  return function()
    at = at + 1
    local file = at <= n and self.raw:at(at)
    if file and file.path:sub(1, #prefix) == prefix then return file.path, file end
  end
end

--- Reads all files. @return how many are damaged, a list of what is wrong
function Image:check()
  local wrong = {}
  for path in self:each() do
    local bytes, err = self.raw:read(path)
    if not bytes then wrong[#wrong + 1] = err end
  end
  return #wrong, wrong
end

function Image:close() self.raw:close() end
Image.__close = Image.close

return M
