--- What all verbs of `xenkit` say and fail with, and the groups of verbs for files, which need no world.
-- @module xenkit.cli.common
local out = require "xenkit.cli.out"

local M = { version = "0.1.0" }

M.JSON = { "--json", help = "print JSON" }

function M.say(...) out.write(string.format(...), "\n") end

function M.fail(text, code)
  io.stderr:write("xenkit: ", tostring(text), "\n")
  return code or 1
end

local FILES = {
  image = "make, look into and change disk images",
  fat = "make and use FAT file systems in image files",
  crunch = "make an image of a folder, and look into one",
}

--- The verb with those of its group in it; nil: `name` is none of these.
function M.group(name)
  local summary = FILES[name]
  return summary and { summary = summary, verbs = require("xenkit.cli." .. name)(M.fail, M.say, M.JSON) }
end

return M
