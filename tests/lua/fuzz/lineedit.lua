-- What a terminal sends: lines are UTF-8 without escapes, the editor stays within its bounds, and what it shows holds
-- no control bytes but those it means.
local lineedit = require "xenkit.lineedit"

local function terminal(bytes)
  local at, shown = 1, {}
  return {
    read = function(_, n)
      if at > #bytes then return nil, "end of stream", "XK_ECLOSED" end
      local s = bytes:sub(at, at + math.random(math.min(n, 7)) - 1)
      at = at + #s
      return s
    end,
    write = function(_, s)
      shown[#shown + 1] = s
      return #s
    end,
    shown = shown,
  }
end

local function check(line, limit)
  assert(utf8.len(line), "not UTF-8")
  assert(not line:find("[\0-\8\11-\31\127]"), "a control byte in the line")
  assert(#line <= limit)
end

return function(bytes)
  local tty = terminal(bytes)
  local e = lineedit.new(tty, { width = 20 + #bytes % 60, line_max = 200, history = { "one", "two three" },
    history_max = 4,
    complete = function(line, pos) return math.max(1, pos), { "alpha", "alphabet", line:sub(1, 3) } end })
  for _ = 1, #bytes + 1 do
    local line, _, code = e:read("> ")
    if line then
      check(line, 200)
      e:add_history(line)
      assert(#e.history <= 4)
    elseif code ~= "XK_ECANCELED" then
      assert(code == "XK_ECLOSED", tostring(code))
      break
    end
  end
  local screen = table.concat(tty.shown)
  assert(not screen:find("[\0-\6\14-\26\28-\31\127]"), "a control byte on the screen")
end
