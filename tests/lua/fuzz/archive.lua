-- The boot archive: what opens has entries that lie within it, and packs again to an archive with the same content.
local archive = require "xenkit.archive"

return function(bytes)
  local a, err, code = archive.open(bytes)
  if not a then return assert(type(err) == "string" and code == "XK_EPROTO") end
  for _, place in pairs(a.index) do assert(place[1] + place[2] - 1 <= #bytes, "an entry reaches beyond the end") end
  local entries = {}
  for _, name in ipairs(a:list()) do
    entries[name] = assert(a:get(name))
    assert(#name + #entries[name] <= #bytes)
  end
  local again = assert(archive.open(archive.pack(entries)))
  for name, data in pairs(entries) do assert(again:get(name) == data) end
end
