--- The language suite: does this ground run Lua 5.4 as the reference manual has it? From the project's root
--
--     lua5.4 tests/guest/language/main.lua [THEME ...]
--
-- and inside a guest `require("language.main").run(print)`. Both must print the same text, byte for byte: for each
-- theme a line with the number of its checks and the digest of all values seen, what failed, and the sum. Only `print`
-- is used, and nothing of io, files, the environment, the locale, addresses, or the wall clock.
local M = {}

M.themes = {
  "syntax", "base", "varargs", "integers", "floats", "math", "numbers_text", "strings", "patterns", "format", "pack",
  "utf8", "tables", "iterators", "closures", "goto_attribs", "metamethods", "close", "coroutines", "errors", "load",
  "limits", "gc", "debug", "require", "os_time", "hash", "puzzles", "programs",
}

--- Run `themes` (by default all but `memory`, which takes what memory there is), tell `out`, a function like print.
-- Gives the number of failed checks.
function M.run(out, themes)
  local harness = require "language.harness"
  local checks, failures = 0, 0
  for _, theme in ipairs(themes or M.themes) do
    collectgarbage()
    local t = harness.new()
    local name = "language." .. theme
    local ok, message = pcall(function() require(name)(t) end)
    package.loaded[name] = nil
    if not ok then t.failed[#t.failed + 1] = {"the theme itself", "an end", tostring(message)} end
    local word = #t.failed == 0 and "ok" or "not ok"
    out(string.format("%s %s checks=%d hash=%016X", word, theme, t.count, t.hash))
    for _, failed in ipairs(t.failed) do
      out(string.format("  %s\n    expected %s\n    got      %s", table.unpack(failed)))
    end
    checks, failures = checks + t.count, failures + #t.failed
  end
  out(string.format("language: %d checks, %d failed", checks, failures))
  return failures
end

if ... == "language.main" then return M end

-- Run as a script. A plain lua5.4 finds the parts beside this file; a guest has them in its archive.
if not pcall(require, "language.harness") then
  local here = debug.getinfo(1, "S").source:match("^@(.-)main%.lua$") or "tests/guest/language/"
  package.path = here .. "../?.lua;" .. package.path
end
local failures = M.run(print, #{...} > 0 and {...} or nil)
if failures > 0 then error(string.format("language: %d failed", failures), 0) end
