--- What a domain boots from: an archive with its script, its description, and the files that it was given.
-- @module xenkit.host.pack
local archive = require "xenkit.archive"
local files = require "xenkit.host.files"

local M = {}

-- Trees and texts go into the archive; all else is handed at run time, and only its name stands here.
local adders = {}

function adders.tree(need, desc, entries)
  desc.tree[need.name] = need.value
  return files.pack_tree(need.value, "tree/" .. need.name .. "/", entries)
end

function adders.text(need, desc, entries)
  desc.text[need.name] = need.value
  local text, err, code = files.read(need.value)
  if not text then return nil, err, code end
  entries["text/" .. need.name] = text
  return true
end

-- A folder of Lua modules: NAME/x.lua of it is found by require "NAME.x".
function adders.lib(need, _, entries)
  return files.pack_tree(need.value, "lib/" .. need.name .. "/", entries)
end

function adders.tcp(need, desc)
  desc.tcp[#desc.tcp + 1] = need.name
  return true
end

-- What the opener gives at run time: only the name stands here.
local function by_opener(need, desc)
  desc[need.kind] = desc[need.kind] or {}
  table.insert(desc[need.kind], need.name)
  return true
end
adders.dir, adders.pty = by_opener, by_opener

-- A value as Lua text: what a domain reads first should need no parser but the one that is there.
local function literal(v)
  if type(v) ~= "table" then return ("%q"):format(v) end
  local keys, parts = {}, {}
  for k in pairs(v) do keys[#keys + 1] = k end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, k in ipairs(keys) do parts[#parts + 1] = ("[%q]=%s"):format(k, literal(v[k])) end
  return "{" .. table.concat(parts, ",") .. "}"
end

--- Packs.
-- @param d source = the script's text, path = its file, params, needs = a list of service.needs, name; repl and
--   watchdog as in a world file; and what else is
--   to stand in etc/domain.lua
-- @return bytes
function M.boot(d)
  local entries = { ["main.lua"] = d.source }
  local desc = { name = d.name, script = d.path, params = d.params, tree = {}, text = {}, tcp = {},
    store = d.store, dom0_port = d.dom0_port, template = d.template, watchdog = d.watchdog, repl = d.repl,
    disk = d.disk, vif = d.vif }
  for _, need in ipairs(d.needs) do
    local add = adders[need.kind]
    if add then
      local ok, err, code = add(need, desc, entries)
      if not ok then return nil, err, code end
    end
  end
  for name, text in pairs(d.modules or {}) do entries[name] = text end
  entries["etc/domain.lua"] = "return " .. literal(desc)
  return archive.pack(entries)
end

return M
