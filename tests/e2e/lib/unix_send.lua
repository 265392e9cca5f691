-- unix_send.lua BUILD SOCKET FILE: sends a file to a unix socket and waits for the other side to close.
package.cpath = arg[1] .. "/lua/?.so;" .. package.cpath
package.path = "lua/?.lua;lua/?/init.lua;" .. package.path
local core_stream, host = require "xenkit.core.stream", require "xenkit.core.host"
local stream, xenkit = require "xenkit.stream", require "xenkit"
local f = assert(io.open(arg[3], "rb"))
local data = f:read("a")
f:close()
local ok = xenkit.run(function(ctx)
  local s = stream.wrap(assert(core_stream.from_handle(ctx.world, assert(host.connect_unix(arg[2])))))
  s:write(data)
  local _, err, code = s:read(nil, 5)
  print(err, code)
  return code ~= "XK_ETIMEDOUT"
end)
os.exit(ok and 0 or 1)
