--- Numbers of bytes as people write them: "512", "64M", "10GiB". K, M, G and T are powers of 1024, whatever follows.
-- @module xenkit.size
local M = {}

local UNITS = { K = 1 << 10, M = 1 << 20, G = 1 << 30, T = 1 << 40 }

--- @return bytes; nil, message, code
function M.read(text)
  local n, unit = text:upper():match "^(%d+)([KMGT]?)I?B?$"
  n = n and math.tointeger(tonumber(n))
  local bytes = n and n * (UNITS[unit] or 1)
  if not bytes or bytes < 0 or bytes // (UNITS[unit] or 1) ~= n then
    return nil, ("'%s' is no size: a number of bytes, or with K, M, G or T, such as 10G"):format(text), "XK_EINVAL"
  end
  return bytes
end

--- In the largest unit of which there is one: "10 GiB", "1.5 KiB", "17 B".
function M.write(bytes)
  for _, u in ipairs { "T", "G", "M", "K" } do
    if bytes >= UNITS[u] then
      return (bytes % UNITS[u] == 0 and "%.0f %siB" or "%.1f %siB"):format(bytes / UNITS[u], u)
    end
  end
  return bytes .. " B"
end

return M
