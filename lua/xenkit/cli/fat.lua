--- `xenkit fat ...`: FAT file systems in image files. @module xenkit.cli.fat
local core = require "xenkit.core.fat"
local core_stream = require "xenkit.core.stream"
local fat = require "xenkit.fat"
local fat_files = require "xenkit.core.fat_files"
local host = require "xenkit.core.host"
local out = require "xenkit.cli.out"

local PIECE, FIRST = 4 << 20, 64 << 10

local function open_image(path, mode)
  if not host.identity(path) then return nil, path .. ": no such file" end
  local fd, err = host.open(path, mode)
  if not fd then return nil, err end
  local ok, _, code = host.lock(fd, mode == "r")
  if ok or code ~= "XK_EBUSY" then return fd end
  core_stream.handle_close(fd)
  return nil, path .. ": it is in use by a domain that serves disks, or by another command"
end

return function(fail, say, JSON)
  local run = {}

  -- fn(fs, p) on the image's file system, which is unmounted after.
  local function with_fs(readonly, fn)
    return function(p)
      local fd, err = open_image(p.image, readonly and "r" or "rw")
      if not fd then return fail(err) end
      local raw, e, code = core.mount(fd, { readonly = readonly })
      if not raw then
        return fail(p.image .. ": " .. (code == "XK_EPROTO" and
          "no FAT file system, or it is damaged: `xenkit fat check` tells more" or e))
      end
      local fs <close> = fat.over(raw)
      local ok, why = fn(fs, p)
      local sound, e2 = fs:unmount()
      if not ok then return fail(why) end
      if not sound then return fail(p.image .. ": " .. e2) end
      return 0
    end
  end

  function run.format(p)
    local size = require "xenkit.size"
    local bytes = p.size and size.read(p.size)
    if p.size and not bytes then return fail(("'%s' is no size, such as 64M"):format(p.size), 2) end
    local cluster = p.cluster and size.read(p.cluster)
    if p.cluster and not cluster then return fail(("'%s' is no size of a cluster, such as 4K"):format(p.cluster), 2) end
    local there = host.identity(p.image)
    if there and not p.overwrite then
      return fail(p.image .. " is there already (--overwrite makes it empty)")
    end
    if not there and not bytes then return fail(p.image .. " is not there: how large is it to be?", 2) end
    local fd, err = host.open(p.image, "rw")
    if not fd then return fail(err) end
    if not host.lock(fd) then return fail(p.image .. ": it is in use") end
    local seed = assert(io.open("/dev/urandom", "rb"))
    local ok, e, code = core.format(fd, { bytes = bytes, type = tonumber(p.type) or 0, cluster = cluster,
      label = p.label, id = ("<I4"):unpack(seed:read(4)), time = os.time() })
    seed:close()
    if ok then return 0 end
    if not there then os.remove(p.image) end
    if code == "XK_ERANGE" then e = ("FAT%s cannot have so many clusters, or so few"):format(p.type or "") end
    if code == "XK_EINVAL" then e = "a label has up to 11 letters of ASCII, a cluster 512 bytes to 64 KiB" end
    return fail(p.image .. ": " .. e)
  end

  local function line(e)
    local function flag(is, c) return is and c or "-" end
    return ("%s%s%s%s %10d  %s  %s"):format(flag(e.directory, "d"), flag(e.readonly, "r"), flag(e.hidden, "h"),
      flag(e.system, "s"), e.size, e.modified > 0 and os.date("!%Y-%m-%d %H:%M", e.modified) or ("%16s"):format "-",
      e.name .. (e.directory and "/" or ""))
  end

  run.ls = with_fs(true, function(fs, p)
    local at, err = fs:stat(p.path or "/")
    if not at then return nil, err end
    local list = at.directory and fs:list(p.path or "/") or { at }
    if p.json then
      local json = require "xenkit.json"
      say("%s", json.encode(json.array(list), { sorted = true }))
      return true
    end
    for _, e in ipairs(list) do say("%s", line(e)) end
    return true
  end)

  local function copy_out(fs, path, write)
    local f <close>, err = fs:open(path)
    if not f then return nil, err end
    for at = 0, f:size(), PIECE do
      local part, e = f:read(at, PIECE)
      if not part then return nil, path .. ": " .. e end
      local ok, e2 = write(part)
      if not ok then return nil, e2 end
    end
    return true
  end

  run.cat = with_fs(true, function(fs, p)
    return copy_out(fs, p.path, function(part) out.write(part) return true end)
  end)

  -- What fat_files left to be done one by one: fn(name, is_dir).
  local function each(rest, err, fn)
    if not rest then return nil, err end
    for kind, name in rest:gmatch "([df])([^%z]*)%z" do
      local ok, e = fn(name, kind == "d")
      if not ok then return nil, e end
    end
    return true
  end

  local function get_file(fs, path, to)
    local f <close>, err = fs:open(path)
    if not f then return nil, err end
    local first, e = f:read(0, FIRST) -- while what is there has its contents still
    if not first then return nil, path .. ": " .. e end
    local fd, e2 = host.open(to, "w")
    if not fd then return nil, e2 end
    local ok, e3 = f:copy_to(fd)
    return ok, e3 and to .. ": " .. e3
  end

  -- A file, or a directory with all below it. Names that would lead out of `to` are none that FAT finds.
  local function get(fs, path, to, is_dir)
    if not is_dir then return get_file(fs, path, to) end
    local ok, err = host.mkdir(to)
    if not ok then return nil, err end
    local rest
    rest, err = fat_files.get(fs.raw, path, to)
    return each(rest, err, function(name, dir)
      if name == "" then return nil, path .. ": an entry has no name: `xenkit fat check` tells more" end
      local there, why = fs:stat(path .. "/" .. name)
      if not there then return nil, why end
      return get(fs, path .. "/" .. name, to .. "/" .. name, dir)
    end)
  end

  local function base(path) return path:match "([^/]+)/*$" end

  run.get = with_fs(true, function(fs, p)
    local to = p.to or base(p.path)
    if not to then return nil, "where to? the root has no name" end
    if p.to and base(p.path) and host.is_dir(p.to) then to = p.to .. "/" .. base(p.path) end
    local e, err = fs:stat(p.path)
    if not e then return nil, err end
    return get(fs, p.path, to, e.directory)
  end)

  local function put_file(fs, from, path)
    local fd, err = host.open(from, "r")
    if not fd then return nil, err end
    local aside = path
    local to, e, code = fs:open(path, "new")
    if code == "XK_EEXIST" then -- it stays as it is until the new one is whole
      aside = path .. "~"
      fs:remove(aside)
      to, e = fs:open(aside, "new")
    end
    if not to then
      core_stream.handle_close(fd)
      return nil, e
    end
    local ok
    ok, e = to:copy_from(fd)
    to:close()
    if ok and aside ~= path then return fs:rename(aside, path) end
    if ok then return true end
    fs:remove(aside)
    return nil, path .. ": " .. e
  end

  local function put(fs, from, path, is_dir)
    if not is_dir then return put_file(fs, from, path) end
    local ok, err = fs:make_path(path)
    if not ok then return nil, err end
    local rest
    rest, err = fat_files.put(fs.raw, from, path)
    return each(rest, err, function(name, dir) return put(fs, from .. "/" .. name, path .. "/" .. name, dir) end)
  end

  run.put = with_fs(false, function(fs, p)
    local path = p.path or "/"
    local there = fs:stat(path)
    if there and there.directory then path = path:gsub("/+$", "") .. "/" .. base(p.from) end
    return put(fs, p.from, path, host.is_dir(p.from))
  end)

  run.mkdir = with_fs(false, function(fs, p) return fs:make_path(p.path) end)
  run.mv = with_fs(false, function(fs, p) return fs:rename(p.path, p.to) end)

  local function remove(fs, path, all)
    local e, err = fs:stat(path)
    if not e then return nil, err end
    for _, below in ipairs(all and e.directory and fs:list(path) or {}) do
      local ok, e2 = remove(fs, path .. "/" .. below.name, all)
      if not ok then return nil, e2 end
    end
    return fs:remove(path)
  end

  run.rm = with_fs(false, function(fs, p) return remove(fs, p.path, p.recursive) end)

  run.info = with_fs(true, function(fs, p)
    local i, err = fs:info()
    if not i then return nil, err end
    if p.json then
      say("%s", require("xenkit.json").encode(i, { sorted = true }))
      return true
    end
    say("%s: FAT%d%s, %d clusters of %d bytes, %d free (%d %%), id %04X-%04X", p.image, i.type,
      i.label ~= "" and " '" .. i.label .. "'" or "", i.clusters, i.cluster, i.free, i.free * 100 // i.clusters,
      i.id >> 16, i.id & 0xffff)
    return true
  end)

  function run.check(p)
    local fd, err = open_image(p.image, p.repair and "rw" or "r")
    if not fd then return fail(err) end
    local bad, found, code = core.check(fd, p.repair)
    if not bad then
      return fail(p.image .. ": " .. (code == "XK_EPROTO" and "no FAT file system" or found))
    end
    for _, f in ipairs(found) do
      say("%s%s", f.bad and "damaged: " or p.repair and "put right: " or "left: ", f.text)
    end
    if bad > 0 then return fail(p.image .. ": it is damaged; what can be read can be had by `xenkit fat get`") end
    say("%s: %s", p.image, #found == 0 and "sound" or p.repair and "sound now" or
      "nothing is lost; --repair, or the next mount, puts that right")
    return 0
  end

  local IMAGE = { "IMAGE", type = "path" }
  local PATH = { "PATH", help = "in the image" }
  local specs = {
    { name = "format", summary = "make an empty file system",
      options = { { "--type", arg = "BITS", choices = { "12", "16", "32" }, help = "without it what fits the size" },
        { "--cluster", arg = "SIZE", help = "512 to 64K; without it what fits" },
        { "--label", arg = "TEXT", help = "the volume's name" },
        { "--overwrite", help = "an image that is there becomes empty" } },
      positionals = { IMAGE, { "SIZE", optional = true, help = "of a new image, such as 64M" } },
      examples = { "xenkit fat format --label DATA data.img 64M" } },
    { name = "ls", summary = "list a directory", options = { JSON },
      positionals = { IMAGE, { "PATH", optional = true, help = "in the image; without it its root" } } },
    { name = "cat", summary = "print a file", positionals = { IMAGE, PATH } },
    { name = "get", summary = "copy a file, or a directory with all below it, out of the image",
      positionals = { IMAGE, PATH, { "TO", optional = true, type = "path", help = "without it its own name" } } },
    { name = "put", summary = "copy a file, or a folder with all below it, into the image",
      positionals = { IMAGE, { "FROM", type = "path" },
        { "PATH", optional = true, help = "in the image; a directory: into it" } },
      examples = { { "xenkit fat put site.img site /", "and give site.img to a stub domain" } } },
    { name = "mkdir", summary = "make a directory, and those above it", positionals = { IMAGE, PATH } },
    { name = "mv", summary = "give a file or directory another name", positionals = { IMAGE, PATH,
      { "TO", help = "in the image; a file that is there is gone then" } } },
    { name = "rm", summary = "remove a file or an empty directory",
      options = { { "-r", "--recursive", help = "a directory with all below it" } }, positionals = { IMAGE, PATH } },
    { name = "info", summary = "show what it is and how much is free", options = { JSON }, positionals = { IMAGE } },
    { name = "check", summary = "look for damage",
      description = "Exit code 1: it is damaged. What was left by who was interrupted is no damage.",
      options = { { "--repair", help = "put right what was left half done" } }, positionals = { IMAGE } },
  }
  specs.run = run
  return specs
end
