--- Answers with the files of an image (`xenkit.crunch`), for `http.static`.
--
-- What is stored as it is goes out from where it lies in the image. What is deflated goes out as gzip, as it is, to who
-- accepts that and is inflated for others; both have tags of their own. Answers of this kind are made when they are
-- asked for and kept, up to a bound, beyond which those go that were made first. "/x/" is "x/index.html" and "/x" leads
-- there, as in a folder.
-- @module xenkit.http_image
local http = require "xenkit.http"

local CACHE = 16 << 20 -- bytes
local DAMAGED = "500 Internal Server Error\nThe file is damaged.\n"

local function fields_for(file, opts, gzip)
  local headers = {}
  for k, v in pairs(opts.headers or http.STATIC_FIELDS) do headers[k] = v end
  if file.method == "deflated" then headers["Vary"] = "Accept-Encoding" end
  if gzip then headers["Content-Encoding"] = "gzip" end
  return headers
end

-- An image's bytes are kept by all answers that are parts of it.
local function stored(image, file, opts)
  return http.resource { body = image.raw:bytes(), at = file.at, n = file.size, type = file.type, etag = file.etag,
    modified = file.time, headers = fields_for(file, opts) }
end

local function deflated(image, file, opts, gzip)
  local body
  if gzip then body = image:gzip(file.path) else body = image:read(file.path) end
  if not body then return nil, 0 end
  return http.resource { body = body, type = file.type, modified = file.time, headers = fields_for(file, opts, gzip),
    etag = gzip and file.etag:sub(1, -2) .. '-gzip"' or file.etag }, #body * 2 -- alone, and with its head
end

-- Answers that are kept: `made` in the order in which they were made, from `first` on.
local function keep(cache, entry, variant, answer, bytes)
  if bytes > cache.most then return end
  cache.last = cache.last + 1
  cache.made[cache.last] = { entry, variant, bytes }
  entry[variant] = answer
  cache.stats.bytes = cache.stats.bytes + bytes
  while cache.stats.bytes > cache.most do
    local old = cache.made[cache.first]
    cache.made[cache.first] = nil
    cache.first = cache.first + 1
    old[1][old[2]] = nil
    cache.stats.bytes = cache.stats.bytes - old[3]
    cache.stats.dropped = cache.stats.dropped + 1
  end
end

--- A function(request) that gives an answer, or nil for what is not in the image.
-- @param image of `xenkit.crunch`, open as long as it is used
-- @param opts prefix, headers as in `http.static`; cache (bytes of answers that are kept; 16 MiB), stats (a table,
--   which gets `made`, `dropped`: how many; `bytes`: kept now)
return function(image, opts)
  opts = opts or {}
  local prefix, entries, stats = opts.prefix or "/", {}, opts.stats or {}
  local cache = { most = opts.cache or CACHE, made = {}, first = 1, last = 0, stats = stats }
  stats.made, stats.dropped, stats.bytes = 0, 0, 0

  -- What is known of a path that leads to something: at most two for each file.
  local function entry_for(path)
    if path:sub(1, #prefix) ~= prefix then return nil end
    local name = path:sub(#prefix + 1)
    local file = image:find((name == "" or name:sub(-1) == "/") and name .. "index.html" or name)
    if file then
      return { file = file, whole = file.method == "stored" and stored(image, file, opts) or nil }
    end
    if name:sub(-1) ~= "/" and image.raw:has(name .. "/index.html") then
      return { whole = http.resource { status = 308, headers = { Location = http.encode(path, "path") .. "/" } } }
    end
  end

  return function(req)
    local path = req.path
    local entry = entries[path]
    if not entry then
      entry = entry_for(path)
      if not entry then return nil end
      entries[path] = entry
    end
    if entry.whole then return entry.whole end
    local variant = req:accepts "gzip" and "gzip" or "plain"
    local answer = entry[variant]
    if answer then return answer end
    local bytes
    answer, bytes = deflated(image, entry.file, opts, variant == "gzip")
    if not answer then http.fail(500, DAMAGED) end
    stats.made = stats.made + 1
    keep(cache, entry, variant, answer, bytes)
    return answer
  end
end
