--- What of a guest's bytes may reach a terminal, and how they are written into a file.
--
-- A terminal obeys what it is shown. Most of that only draws; some makes it answer as if the user had typed, rename
-- itself, fill the clipboard, print. A filter lets pass what a policy allows and drops the rest:
--
-- `raw` everything; `safe` what draws; `sgr` text and colours; `strip` text alone.
--
-- A filter keeps what a chunk has begun and not ended, up to a bound. It looks at bytes as UTF-8, where the control
-- characters U+0080 to U+009F are two bytes: alone, or as a broken sequence, they are control bytes, too.
-- @module xenkit.console.escape
local M = {}

M.policies = { "raw", "safe", "sgr", "strip" }

local SEQUENCE_MAX = 64  -- a control sequence that is longer is dropped
local STRING_MAX = 4096  -- an unterminated title or the like swallows no more
local BROKEN = "\239\191\189" -- U+FFFD, for what is no UTF-8

-- Final bytes of control sequences (ECMA-48, xterm) that draw.
local DRAWS = {}
for c in ("@ABCDEFGHIJKLMPSTXZ`abdefgmrsu"):gmatch "." do DRAWS[c] = true end

-- Private modes (DECSET) that draw: cursor keys, origin, wrap, blink, cursor, other screen, bracketed paste.
local MODES = {}
for _, n in ipairs { 1, 6, 7, 12, 25, 47, 1047, 1048, 1049, 2004 } do MODES[tostring(n)] = true end

local function all_modes(params)
  for n in params:gmatch "[^;]+" do if not MODES[n] then return false end end
  return true
end

local function csi_draws(params, between, final)
  if between ~= "" or params:find "%d%d%d%d%d" then return false end
  if final == "h" or final == "l" then
    return params == "4" or (params:sub(1, 1) == "?" and all_modes(params:sub(2)))
  end
  if not DRAWS[final] then return false end
  local private = params:find "^[<=>?]"
  return not private or (params:sub(1, 1) == "?" and (final == "J" or final == "K"))
end

local allow = {
  safe = { csi = csi_draws, single = "[78DEM=>]", charset = true, controls = "[\7\8]" },
  sgr = { controls = "[\7\8]", csi = function(params, between, final)
    return final == "m" and between == "" and not params:find "[^%d;:]"
  end },
  strip = {},
}

-- Each looks at `s` from the ESC at `at`. @return what passes, where to go on; nil: more must come
local function csi(rule, s, at)
  local from, to, params, between, final = s:find("^\27%[([\48-\63]*)([\32-\47]*)([\64-\126])", at)
  if from then
    return to - from < SEQUENCE_MAX and rule.csi and rule.csi(params, between, final) and s:sub(from, to) or "", to + 1
  end
  local _, ended = s:find("^\27%[[\48-\63]*[\32-\47]*", at)
  if ended < #s or ended - at > SEQUENCE_MAX then return "", ended + 1 end -- another byte cuts it off
  return nil
end

local function string_end(s, from, bell)
  local best, after
  for _, mark in ipairs(bell and { "\7", "\27\\" } or { "\27\\" }) do
    local a, b = s:find(mark, from, true)
    if a and (not best or a < best) then best, after = a, b + 1 end
  end
  return after
end

-- Titles, clipboards and the like: never passed. Linux's own console has two without an end.
local function string_sequence(s, at, kind)
  if kind == "]" then
    local next3 = s:sub(at + 2, at + 2)
    if next3 == "" then return nil end
    if next3 == "R" then return "", at + 3 end
    if next3 == "P" then return #s >= at + 9 and "" or nil, at + 10 end
  end
  local after = string_end(s, at + 2, kind == "]")
  if after then return "", after end
  if #s - at > STRING_MAX then return "", at + 2 end
  return nil
end

local function escape_sequence(rule, s, at)
  local kind = s:sub(at + 1, at + 1)
  if kind == "" then return nil end
  if kind == "[" then return csi(rule, s, at) end
  if kind:find "[%]P^_X]" then return string_sequence(s, at, kind) end
  if kind:find "[\32-\47]" then
    local from, to = s:find("^\27[\32-\47]+[\48-\126]", at)
    if not from then
      local _, ended = s:find("^\27[\32-\47]+", at)
      if ended < #s or ended - at > SEQUENCE_MAX then return "", ended + 1 end
      return nil
    end
    local sequence = s:sub(from, to)
    return rule.charset and sequence:find "^\27[()][0AB]$" and sequence or "", to + 1
  end
  if kind:find "[\48-\126]" then return rule.single and kind:find(rule.single) and s:sub(at, at + 1) or "", at + 2 end
  return "", at + 1 -- ESC before a control byte: that is looked at next
end

-- A byte above 127. @return what passes, where to go on; nil: more must come
local function high(s, at)
  local lead = s:byte(at)
  local need = lead >= 240 and 4 or lead >= 224 and 3 or lead >= 194 and 2 or 1
  if utf8.len(s, at, at) then
    return s:find("^\194[\128-\159]", at) and "" or s:sub(at, at + need - 1), at + need
  end
  if #s - at + 1 < need and not s:find("[^\128-\191]", at + 1) then return nil end
  return lead >= 160 and BROKEN or "", at + 1
end

local function run(rule, s)
  local out, at = {}, 1
  while true do
    local special = s:find("[\0-\31\127-\255]", at)
    if not special then
      out[#out + 1] = s:sub(at)
      return table.concat(out), ""
    end
    out[#out + 1] = s:sub(at, special - 1)
    local c = s:sub(special, special)
    local pass, after
    if c == "\27" then pass, after = escape_sequence(rule, s, special)
    elseif c >= "\128" then pass, after = high(s, special)
    elseif c:find "[\t\r\n]" or (rule.controls and c:find(rule.controls)) then pass, after = c, special + 1
    else pass, after = "", special + 1 end
    if not pass then return table.concat(out), s:sub(special) end
    out[#out + 1] = pass
    at = after
  end
end

--- A filter. @param policy one of `policies`
-- @return function(bytes) -> bytes
function M.filter(policy)
  if policy == "raw" then return function(s) return s end end
  local rule = assert(allow[policy], "no escape policy of that name")
  local held = ""
  return function(s)
    if held == "" and not s:find "[\0-\8\11\12\14-\31\127-\255]" then return s end
    s, held = held .. s, ""
    s, held = run(rule, s)
    return s
  end
end

local function hex(c) return ("\\x%02x"):format(c:byte()) end

--- A line as it is written into files: control bytes, and what is no UTF-8, as `\xNN`. Tabs stay.
function M.clean(line)
  line = line:gsub("[\0-\8\10-\31\127]", hex)
  if not line:find "[\128-\255]" then return line end
  line = line:gsub("\194[\128-\159]", function(c) return (c:gsub(".", hex)) end)
  local out, at = {}, 1
  while true do
    local good, bad = utf8.len(line, at)
    if good then
      out[#out + 1] = line:sub(at)
      return table.concat(out)
    end
    out[#out + 1] = line:sub(at, bad - 1)
    out[#out + 1] = hex(line:sub(bad, bad))
    at = bad + 1
  end
end

return M
