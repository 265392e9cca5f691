--- `xenkit run`: one service in a world of its own. @module xenkit.cli.run
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local rpc = require "xenkit.rpc"
local service = require "xenkit.service"
local stream = require "xenkit.stream"
local task = require "xenkit.task"

local M = {}

local function load_service(path)
  local source, err = files.read(path)
  if not source then return nil, err end
  local svc, e = service.describe(source, path)
  if not svc then return nil, e end
  return svc, source
end

--- The service's own help.
function M.help(path, fail)
  local svc, err = load_service(path)
  if not svc then return fail(err, 2) end
  local p = service.params(svc, { "--help" }, "xenkit run " .. path)
  io.stdout:write(p.help)
  return 0
end

-- The domain's console, on standard output, through the console domain as for any tool.
local function show_console(T, domid)
  local ours, theirs = host.socketpair()
  host.hand(T.world, T.console_domid, "session", theirs)
  require("xenkit.core.stream").handle_close(theirs)
  local s <close> = assert(stream.from_handle(T.world, ours))
  rpc.send(s, { id = 1, method = "attach", params = { domid = domid, who = "xenkit run" } })
  local r = rpc.receive(s, 10)
  if not r or r.error then return end
  while true do
    local text = s:read()
    if not text then return end
    io.stdout:write(text)
    io.stdout:flush()
  end
end

setmetatable(M, { __call = function(_, p, fail, say)
  local svc, source = load_service(p.script)
  if not svc then return fail(source, 2) end
  local params, err = service.params(svc, p.words or {}, "xenkit run " .. p.script)
  if not params then return fail(p.script .. ": " .. err .. "; see `xenkit run " .. p.script .. " --help`", 2) end
  local given = {}
  for _, w in ipairs(p.words or {}) do
    local k, v = w:match("^([^=]+)=(.*)$")
    given[k or w] = v or "true"
  end
  local name = (p.script:match("([^/]+)%.lua$") or "service"):gsub("[^%w_%-]", "_")
  if name == "store" or name == "console" then name = "the-" .. name end
  local world_name = p.name or ("run-" .. name .. "-" .. host.pid())
  local shown
  local code, e = require("xenkit.cli.up").run({
    name = world_name,
    domains = { { name = name, script = p.script, source = source, params = given, restart = "never",
      sandbox = not p.no_sandbox } },
  }, {
    dir = files.runtime_dir() .. "/" .. world_name,
    until_ended = name,
    keep_log = p.keep,
    ready = function(T)
      for k, v in pairs(T:addresses()) do
        if k:match("^" .. name:gsub("%-", "%%-") .. "%.") then say("%s listens on %s", k:gsub("^[^.]*%.", ""), v) end
      end
      io.stdout:flush()
      shown = task.detach(show_console, T, T.last_domid)
    end,
    ended = function()
      if shown then
        pcall(shown.join, shown, 1) -- its last words
        shown:cancel()
      end
    end,
  })
  if not code then return fail(e) end
  return code
end })

return M
