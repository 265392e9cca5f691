--- Serves a site: the files of a folder, its Markdown as pages, and what this domain is doing.
--
-- With image=FILE the site is in an image (`xenkit crunch`). A folder beside it goes before it: what is in both is
-- taken from the folder, as is good while one works on it.
--
-- Pages are rendered once, at the start, into memory: "docs/x.md" becomes "docs/x.html" through "template.html" of the
-- tree, where {{title}}, {{content}}, {{nav}} and {{root}} stand for the page's first heading, its HTML, the list of
-- all pages, and the way up to the root ("", "../").
--
--     /hello    a handler in Lua        /healthz   "ok"        /status    JSON
--
-- Every 250 ms it writes its load to its part of the store, `data/load`: three integers, "REQUESTS IN_FLIGHT BUSY",
-- where REQUESTS counts from the start and BUSY is the share of the interval, in thousandths, that this domain spent on
-- the processor (kernel included), which for a domain of one thread is how full it is.
local crunch = require "xenkit.crunch"
local http = require "xenkit.http"
local json = require "xenkit.json"
local markup = require "xenkit.core.markup"
local task = require "xenkit.task"

local LOAD_EVERY = 0.25

local PLAIN = [[<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{title}}</title></head>
<body><nav>{{nav}}</nav>{{content}}</body></html>
]]

local function fill(template, values)
  return (template:gsub("{{(%w+)}}", values))
end

-- "index.md" first, then by title: what {{nav}} lists.
local function collect(tree)
  local pages = {}
  for _, name in ipairs(tree:list()) do
    local stem = name:match("^(.+)%.md$")
    if stem then
      local html, headings = markup.markdown(tree:get(name))
      local title = headings and headings[1] and headings[1].text or stem
      pages[#pages + 1] = { name = stem .. ".html", html = assert(html, headings), title = title,
                            index = stem == "index" }
    end
  end
  table.sort(pages, function(a, b)
    if a.index ~= b.index then return a.index end
    return a.name < b.name
  end)
  return pages
end

local function nav(pages, current, root)
  local out = { "<ul>" }
  for _, p in ipairs(pages) do
    local here = p == current and ' aria-current="page"' or ""
    out[#out + 1] = ('<li><a href="%s%s"%s>%s</a></li>'):format(root, http.encode(p.name, "path"), here,
      http.escape_html(p.index and "Start" or p.title))
  end
  out[#out + 1] = "</ul>"
  return table.concat(out, "\n")
end

-- Name -> HTML of every page. Links between pages may be written as the files are: "x.md" leads to "x.html".
local function render(tree)
  local template, pages, out = tree:get("template.html") or PLAIN, collect(tree), {}
  for _, p in ipairs(pages) do
    local root = ("../"):rep(select(2, p.name:gsub("/", "")))
    local html = p.html:gsub('(<a href="[^":]+)%.md(["#])', "%1.html%2")
    out[p.name] = fill(template, { title = http.escape_html(p.title), content = html, nav = nav(pages, p, root),
                                   root = root })
  end
  return out
end

-- A folder with an image behind it, as one tree.
local function over(tree, image)
  if not (tree and image) then return tree or image end
  local both = {}
  function both.get(_, name) return tree:get(name) or image:get(name) end
  function both.list()
    local names, seen = tree:list(), {}
    for _, name in ipairs(names) do seen[name] = true end
    for _, name in ipairs(image:list()) do
      if not seen[name] then names[#names + 1] = name end
    end
    return names
  end
  return both
end

local function status_of(ctx, server, since)
  return function()
    local s = server().stats
    return 200, json.encode({
      domid = ctx.domid, name = ctx.name, requests = s.requests, in_flight = s.in_flight,
      connections = s.connections, errors = s.errors, uptime = ctx.world:now() - since,
    }, { sorted = true }) .. "\n", "application/json"
  end
end

-- Until the task is cancelled.
local function report_load(ctx, server)
  local idle, at = ctx.world:stats().idle_ns, ctx.world:now()
  while true do
    task.sleep(LOAD_EVERY)
    local idle2, at2 = ctx.world:stats().idle_ns, ctx.world:now()
    local busy = math.max(0, math.min(1000, math.floor((1 - (idle2 - idle) / 1e9 / (at2 - at)) * 1000 + 0.5)))
    local s = server.stats
    local ok, err = ctx.store:write("data/load", ("%d %d %d"):format(s.requests, s.in_flight, busy))
    if ok == nil and err then
      ctx.log("warning", "store: " .. tostring(err), { path = "data/load" })
      return
    end
    idle, at = idle2, at2
  end
end

local server -- of the running start, for stop

return {
  summary = "Serves a site over HTTP.",
  params = {
    { "root", default = "", help = "folder to serve; without it, and without an image, 'site'" },
    { "image", default = "", help = "image to serve, behind the folder if there is one, too (`xenkit crunch`)" },
    { "port", type = "integer", default = 8080, min = 0, max = 65535, help = "TCP port; 0 takes a free one" },
    { "address", default = "127.0.0.1", help = "address to listen on" },
    { "markdown", type = "boolean", default = true, help = "render .md files to pages" },
  },
  needs = {
    tcp = { http = "$address:$port" },
    tree = { site = "$root", default = { "site", unless = "root image" } },
    text = { image = "$image" },
  },
  start = function(ctx)
    local tree, since, image = ctx.tree.site or ctx.tree.default, ctx.world:now(), nil
    if ctx.text.image then
      local err
      image, err = crunch.open(ctx.text.image)
      if not image then error(ctx.params.image .. err:gsub("^image", "", 1), 0) end
    end
    local pages = ctx.params.markdown and render(over(tree, image)) or nil
    local handler = http.router {
      ["GET /hello"] = function() return 200, "Hello from domain " .. ctx.domid .. "\n", "text/plain" end,
      ["GET /healthz"] = function() return 200, "ok\n", "text/plain" end,
      ["GET /status"] = status_of(ctx, function() return server end, since),
      default = http.static(tree, { add = pages, image = image, modified = math.floor(ctx.world:wallclock()) }),
    }
    server = http.server(ctx.tcp.http, handler, {
      max_requests = 1000, -- a client that stays meets a replica that came later
      headers = { Server = "xenkit", ["X-Domain"] = tostring(ctx.domid) },
      log = ctx.log,
    })
    local _ <close> = ctx.store and task.spawn(report_load, ctx, server) or nil
    assert(server:run())
  end,
  stop = function() if server then server:drain(5) end end,
}
