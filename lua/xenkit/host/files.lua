--- Files for the host tool: reading, folders, packing. @module xenkit.host.files
local host = require "xenkit.core.host"

local M = {}

--- The whole content of a file.
function M.read(path)
  local f, err = io.open(path, "rb")
  if not f then return nil, err, "XK_ENOENT" end
  local text, e = f:read("a")
  f:close()
  if not text then return nil, path .. ": " .. tostring(e), "XK_EIO" end
  return text
end

--- Entries of a folder, sorted: a list of {name, dir}.
function M.list(path)
  local raw, err, code = host.list(path)
  if not raw then return nil, err, code end
  local list = {}
  for kind, name in raw:gmatch("([df])([^%z]+)%z") do list[#list + 1] = { name = name, dir = kind == "d" } end
  table.sort(list, function(a, b) return a.name < b.name end)
  return list
end

local TREE_MAX, FILES_MAX = 64 << 20, 20000

--- All files below `dir` into `entries`, named with `prefix`. Names that begin with "." are left out.
function M.pack_tree(dir, prefix, entries, budget)
  budget = budget or { bytes = 0, files = 0 }
  local list, err, code = M.list(dir)
  if not list then return nil, err, code end
  for _, e in ipairs(list) do
    if e.name:sub(1, 1) ~= "." then
      local path = dir .. "/" .. e.name
      if e.dir then
        local ok, e2, c2 = M.pack_tree(path, prefix .. e.name .. "/", entries, budget)
        if not ok then return nil, e2, c2 end
      else
        local text, e2, c2 = M.read(path)
        if not text then return nil, e2, c2 end
        budget.bytes = budget.bytes + #text
        budget.files = budget.files + 1
        if budget.bytes > TREE_MAX or budget.files > FILES_MAX then
          return nil, dir .. ": more than 64 MiB or 20000 files to pack", "XK_E2BIG"
        end
        entries[prefix .. e.name] = text
      end
    end
  end
  return true
end

--- Where worlds live: $XDG_RUNTIME_DIR/xenkit, or /tmp/xenkit-UID.
function M.runtime_dir()
  local d = os.getenv("XENKIT_RUNTIME_DIR")
  if d and d ~= "" then return d end
  d = os.getenv("XDG_RUNTIME_DIR")
  if d and d ~= "" and host.is_dir(d) then return d .. "/xenkit" end
  return "/tmp/xenkit-" .. host.uid()
end

--- Where worlds keep data: $XDG_STATE_HOME/xenkit, ~/.local/state/xenkit.
function M.state_dir()
  local d = os.getenv("XENKIT_STATE_DIR")
  if d and d ~= "" then return d end
  d = os.getenv("XDG_STATE_HOME")
  if d and d ~= "" then return d .. "/xenkit" end
  local home = os.getenv("HOME")
  return home and home ~= "" and home .. "/.local/state/xenkit" or M.runtime_dir() .. "/state"
end

return M
