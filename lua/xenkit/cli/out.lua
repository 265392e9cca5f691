--- Standard output of the verbs: what cannot be written ends the command, with a word unless nobody reads any more.
-- @module xenkit.cli.out
local M = {}

local function check(ok, err, code)
  if ok then return end
  if code == 32 then os.exit(141, false) end -- EPIPE: as a shell reports a process that SIGPIPE ended
  io.stderr:write("xenkit: standard output: ", err, "\n")
  os.exit(1, false)
end

--- Writes strings. They may wait in a buffer until the end or `flush`.
function M.write(...)
  local f, err, code = io.stdout:write(...)
  check(f, err, code)
end

--- Sends what waits, so that who follows sees it now.
function M.flush() check(io.stdout:flush()) end

return M
