--- Records as people and programs read them, and times as people write them.
-- @module xenkit.log.format
local json = require "xenkit.json"

local M = {}

local function stamp(t) return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(t)) .. (".%03dZ"):format(t % 1 * 1000 // 1) end

-- A value with spaces in it is quoted, so that one sees where it ends.
local function value(v)
  v = tostring(v)
  return v:find("[%s\"]") and ('"' .. v:gsub('"', '\\"') .. '"') or v
end

--- One line: time of arrival, level, domain, source, text, fields. What came late says by how much, by its sender's
-- clock; what was found in a ring says so.
function M.line(r)
  local who = r.domain .. (r.source ~= "" and "[" .. r.source .. "]" or "")
  local parts = { stamp(r.time), (" %-7s "):format(r.level), who, ": ", r.text }
  local keys = {}
  for k in pairs(r.fields) do keys[#keys + 1] = k end
  table.sort(keys)
  if not r.lost and not r.skipped then
    for _, k in ipairs(keys) do parts[#parts + 1] = " " .. k .. "=" .. value(r.fields[k]) end
  end
  local early = r.time - r.wall
  if math.abs(early) >= 1 then
    parts[#parts + 1] = (" (%.1f s %s)"):format(math.abs(early), early > 0 and "before" or "ahead")
  end
  if r.last_words then parts[#parts + 1] = " [last words]" end
  if r.recovered then parts[#parts + 1] = " [from its ring]" end
  return table.concat(parts)
end

--- One line of JSON.
function M.json(r) return json.encode(r, { sorted = true }) end

local UNIT = { s = 1, m = 60, h = 3600, d = 86400 }

--- "90s", "10m", "2h", "1d" before `now`; "2026-01-31T12:00:00" (UTC, Z or not), "2026-01-31"; seconds since 1970.
-- @return seconds since 1970, or nil, message
function M.time(text, now)
  local n, unit = text:match("^(%d+%.?%d*)([smhd])$")
  if n then return now - tonumber(n) * UNIT[unit] end
  if text:match("^%d+%.?%d*$") then return tonumber(text) + 0.0 end
  local year, month, day, rest = text:match("^(%d%d%d%d)%-(%d%d)%-(%d%d)(.*)$")
  local hour, min, sec = "0", "0", "0"
  if rest and rest ~= "" then hour, min, sec = rest:match("^[T ](%d%d):(%d%d):?(%d*)Z?$") end
  if not year or not hour then
    return nil, "'" .. text .. "' is no time; write 10m, 2h, 1d, 2026-01-31T12:00:00 (UTC) or seconds since 1970"
  end
  year, month, day = tonumber(year), tonumber(month), tonumber(day)
  -- Days from the civil calendar: os.time would take the local zone.
  local y, m = month <= 2 and year - 1 or year, (month + 9) % 12
  local days = y * 365 + y // 4 - y // 100 + y // 400 + (m * 153 + 2) // 5 + day - 1 - 719468
  return days * 86400.0 + tonumber(hour) * 3600 + tonumber(min) * 60 + (tonumber(sec) or 0)
end

return M
