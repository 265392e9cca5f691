-- HTTP with wrk, one thread and 64 connections, against nginx with its Lua module; one worker each.
--
-- XK_WWW_CMD starts ours; {root} and {port} are replaced. It must serve {root}/1k.html and answer /hello from Lua.
-- A system-wide nginx is not touched: this one has its own configuration, port and pid. SPDX-License-Identifier: MIT
local tools = require("tools")

local default = "build/xenkit run scripts/services/www.lua root={root} port={port}"
local modules = "/usr/lib/nginx/modules/"

local configuration = [[
load_module MODULESndk_http_module.so;
load_module MODULESngx_http_lua_module.so;
USERdaemon off;
worker_processes 1;
pid DIR/pid;
error_log DIR/error.log warn;
events { worker_connections 1024; }
http {
  access_log off;
  keepalive_requests 100000000;
  default_type text/html;
  client_body_temp_path DIR/1; proxy_temp_path DIR/2; fastcgi_temp_path DIR/3;
  uwsgi_temp_path DIR/4; scgi_temp_path DIR/5;
  server {
    listen 127.0.0.1:PORT;
    root ROOT;
    location = /hello {
      content_by_lua_block {
        ngx.header.content_type = "text/plain"
        local parts = {}
        for i = 1, 5 do parts[i] = "line " .. i .. " for " .. ngx.var.request_method end
        ngx.print("Hello from Lua\n", table.concat(parts, "\n"), "\n")
      }
    }
  }
}
]]

local function start_nginx(root)
  local nginx = tools.which("nginx")
  if not nginx then
    return nil, "nginx skipped: install nginx-light"
  elseif not tools.exists(modules .. "ngx_http_lua_module.so") then
    return nil, "nginx skipped: install libnginx-mod-http-lua"
  end
  local dir, port = tools.temp(), tools.free_port()
  local user = tools.sh("id -un"):match("%S+")
  local values = { MODULES = modules, DIR = dir, PORT = port, ROOT = root,
    USER = user == "root" and "user root;\n" or "" }
  local file = tools.write(dir .. "/nginx.conf", (configuration:gsub("%u%u%u+", values)))
  local command = string.format("%s -p %s -e %s/error.log -c %s", nginx, dir, dir, file)
  return { pid = tools.serve("nginx", command, "tcp", port), port = port }
end

local function start_ours(root)
  local port = tools.free_port()
  local command, why = tools.our_command("XK_WWW_CMD", default, { root = root, port = port })
  if not command then
    return nil, why
  end
  return { pid = tools.serve("our web server", command, "tcp", port), port = port }
end

local function wrk(server, path, seconds)
  local text = tools.sh(string.format("%s around %s %s%s 2>&1", tools.need("bench_tool"), server.pid, tools.on(1),
    tools.words("wrk", "-t1", "-c64", "-d" .. seconds .. "s", "--latency",
      "http://127.0.0.1:" .. server.port .. path)))
  local rate, requests = tonumber(text:match("Requests/sec:%s*([%d.]+)")), tonumber(text:match("(%d+) requests in"))
  local cpu = tonumber(text:match("\nwall_ns=%d+ cpu=(%d+)"))
  if not rate or not cpu or requests == 0 then
    tools.fail("wrk on %s: %s", path, text:sub(-300))
  elseif text:match("Non%-2xx") then
    tools.fail("wrk on %s: answers are not 2xx", path)
  end
  return { rate = rate, cpu_ns = cpu / requests }
end

return function(out)
  if not tools.which("wrk") then
    return out.note("http", "skipped: install wrk")
  end
  local root = tools.temp()
  tools.sh("chmod 755 " .. root)
  tools.write(root .. "/1k.html", string.rep("0123456789abcde\n", 64))
  local servers = tools.start_all(out, "http", { ours = start_ours, peer = start_nginx }, root)
  for _, case in ipairs({ { "/1k.html", "static 1 KiB" }, { "/hello", "Lua handler" } }) do
    local t = { ours = {}, peer = {} }
    for _ = 1, tools.quick and 2 or 5 do
      for name, server in pairs(servers) do
        table.insert(t[name], wrk(server, case[1], 1))
      end
    end
    if next(servers) then
      out.row({ workload = "http " .. case[2] .. ", keep-alive c64", unit = "req/s", ours = t.ours, theirs = t.peer,
        peer = servers.peer and "nginx" .. (case[1] == "/hello" and " + LuaJIT" or ""),
        goal = case[1] == "/hello" and 0.8 or nil })
    end
  end
end
