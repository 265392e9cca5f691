--- What a domain boots from: an archive with its script, its description, and the files that it was given.
-- @module xenkit.host.pack
local archive = require "xenkit.archive"
local files = require "xenkit.host.files"
local json = require "xenkit.json"

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

function adders.tcp(need, desc)
  desc.tcp[#desc.tcp + 1] = need.name
  return true
end

--- Packs.
-- @param d source = the script's text, path = its file, params, needs = a list of service.needs, name, and what else is
--   to stand in etc/domain.json
-- @return bytes
function M.boot(d)
  local entries = { ["main.lua"] = d.source }
  local desc = { name = d.name, script = d.path, params = d.params, tree = {}, text = {}, tcp = json.array {},
    store = d.store, dom0_port = d.dom0_port, template = d.template, watchdog = d.watchdog }
  for _, need in ipairs(d.needs) do
    local add = adders[need.kind]
    if add then
      local ok, err, code = add(need, desc, entries)
      if not ok then return nil, err, code end
    end
  end
  for name, text in pairs(d.modules or {}) do entries[name] = text end
  entries["etc/domain.json"] = json.encode(desc, { sorted = true })
  return archive.pack(entries)
end

return M
