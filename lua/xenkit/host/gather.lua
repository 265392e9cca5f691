--- Which files of a folder go into an image: all below it but what patterns leave out, in the order of their paths as
-- bytes. Links are followed as long as they stay in the folder.
--
-- A pattern without "/" is for names, one with "/" for whole paths. "*" stands for any letters but "/", "**" for any,
-- "?" for one.
-- @module xenkit.host.gather
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"

local M = {}

local function pattern_of(glob)
  glob = glob:gsub("/+$", "")
  local p = glob:gsub("[%^%$%(%)%%%.%[%]%+%-]", "%%%0")
  p = p:gsub("%*+", function(stars) return #stars > 1 and ".*" or "[^/]*" end)
  p = p:gsub("%?", "[^/\128-\191][\128-\191]*")
  return { text = "^" .. p .. "$", whole = glob:find("/", 1, true) }
end

local function patterns_of(globs)
  local list = {}
  for i, glob in ipairs(globs or {}) do list[i] = pattern_of(glob) end
  return list
end

local function any(patterns, path, name)
  for _, p in ipairs(patterns) do
    if (p.whole and path or name):find(p.text) then return true end
  end
  return false
end

-- What a link leads to, if it may be followed. @return its kind; nil, message
local function follow(s, file)
  local real = host.real(file)
  if not real then return nil, file .. ": a link that leads nowhere (--ignore leaves it out)" end
  if real ~= s.root and real:sub(1, #s.inside) ~= s.inside then
    return nil, ("%s: a link that leads out of %s, to %s (--ignore leaves it out)"):format(file, s.dir, real)
  end
  return host.kind(real)
end

local walk

local function enter(s, file, path)
  local real, err = host.real(file)
  if not real then return nil, err end
  if s.above[real] then return nil, file .. ": a link to a folder that it is in (--ignore leaves it out)" end
  s.above[real] = true
  local ok, e = walk(s, file, path .. "/")
  s.above[real] = nil
  return ok, e
end

function walk(s, folder, prefix)
  local list, err = files.list(folder)
  if not list then return nil, err end
  for _, e in ipairs(list) do
    local path, file, ok = prefix .. e.name, folder .. "/" .. e.name, true
    if not any(s.ignore, path, e.name) then
      local kind
      kind, err = host.kind(file)
      if kind == "l" then kind, err = follow(s, file) end
      if kind == "d" then
        ok, err = enter(s, file, path)
      elseif kind == "f" then
        if (#s.only == 0 or any(s.only, path, e.name)) and host.identity(file) ~= s.without then
          s.list[#s.list + 1] = { path = path, file = file }
        end
      elseif kind then
        return nil, file .. ": it is neither a file nor a folder (--ignore leaves it out)"
      end
      if not kind or not ok then return nil, err end
    end
  end
  return true
end

--- Files of `dir`.
-- @param options only, ignore (lists of patterns: for files; for files and folders), without (a file that is left out,
--   as `host.identity` tells it)
-- @return a list of {path, file}, or nil, message
function M.files(dir, options)
  local root, err = host.real(dir)
  if not root then return nil, err end
  if not host.is_dir(root) then return nil, dir .. ": it is no folder" end
  local s = { dir = dir, root = root, inside = root:gsub("/$", "") .. "/", above = { [root] = true }, list = {},
    only = patterns_of(options.only), ignore = patterns_of(options.ignore), without = options.without or "" }
  local ok, e = walk(s, dir, "")
  if not ok then return nil, e end
  table.sort(s.list, function(a, b) return a.path < b.path end)
  return s.list
end

return M
