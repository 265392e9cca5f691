-- Command lines: words that a NUL ends. Parsed, or told what is wrong; values keep to their types and ranges.
local args = require "xenkit.args"

local cli = args.new { name = "tool", version = "1", summary = "s", verbs = {
  { name = "go", summary = "g", options = { { "-n", "--number", arg = "N", type = "integer", min = -5, max = 70000 },
    { "-q", "--quiet", help = "h" }, { "--ratio", arg = "R", type = "number" } },
    positionals = { { "FILE" }, { "REST", optional = true, many = true } } },
  { name = "stop", summary = "t", options = {}, positionals = { { "NAME", optional = true } } },
} }
local SPEC = { name = "svc", keys = { { "port", type = "integer", min = 1, max = 65535, default = 80 },
  { "on", type = "boolean" }, { "list", type = "list" }, { "name", required = true } } }

local function whole_range(v, min, max) return v == nil or (math.type(v) == "integer" and v >= min and v <= max) end

return function(bytes)
  local words = {}
  for word in (bytes .. "\0"):gmatch("([^\0]*)\0") do words[#words + 1] = word end
  local p, err = cli:parse(words)
  assert(p or (type(err) == "string" and not err:find("[\0-\8\14-\31\127]")), "complaint: " .. tostring(err))
  if p and not p.help and not p.version then assert(whole_range(p.number, -5, 70000)) end
  local v, complaint = args.keyvalues(SPEC, words)
  assert(v or type(complaint) == "string")
  if v and not v.help then
    assert(whole_range(v.port, 1, 65535) and type(v.name) == "string")
  end
end
