--- `xenkit image ...`: disk images in files, raw, Virtual Hard Disks, or with a LUKS header. @module xenkit.cli.image
local core = require "xenkit.core.image"
local core_stream = require "xenkit.core.stream"
local crypt = require "xenkit.core.crypt"
local files = require "xenkit.host.files"
local host = require "xenkit.core.host"
local json = require "xenkit.json"
local size = require "xenkit.size"
local vhd = require "xenkit.vhd"

local EPOCH = 946684800 -- seconds from 1970 to 2000, where a VHD's times begin
local STEP = 64 << 20 -- bytes between two looks at the clock
local RAW = ("\0"):rep(16)
local COST, COST_LEAST, COST_MOST = 2000, 1000, 1 << 26 -- ms; iterations, as cryptsetup has them

-- --- files -------------------------------------------------------------------------------------------------------

-- @return the folder, "" or with its slash; the name
local function split(path) return path:match "^(.*/)([^/]*)$" or "", path:match "[^/]*$" end

-- Where the parent of the image in `path` is: by the way that the image says, else beside it.
local function parent_of(path, said)
  local dir = split(path)
  local relative = said:gsub("\\", "/"):gsub("^%./", "")
  local there = relative:sub(1, 1) == "/" and relative or dir .. relative
  if host.identity(there) then return there end
  return dir .. vhd.base_name(said)
end

-- A path's parts from the root on.
local function parts_of(path)
  local list = {}
  if path:sub(1, 1) ~= "/" then path = (os.getenv "PWD" or "") .. "/" .. path end
  for part in path:gmatch "[^/]+" do
    if part == ".." then list[#list] = nil elseif part ~= "." then list[#list + 1] = part end
  end
  return list
end

-- How `to` is found from the folder that `from` is in.
local function relative(from, to)
  local a, b, same, out = parts_of(from), parts_of(to), 0, {}
  while same < #a - 1 and same < #b - 1 and a[same + 1] == b[same + 1] do same = same + 1 end
  for _ = same + 1, #a - 1 do out[#out + 1] = ".." end
  for i = same + 1, #b do out[#out + 1] = b[i] end
  local way = table.concat(out, "/")
  local there = host.identity(to)
  if there and host.identity(split(from) .. way) == there then return way end
  return "/" .. table.concat(b, "/") -- links on the way
end

local function open_read(path) return host.open(path, "r") end

-- To be changed: nobody else has it.
local function open_alone(path)
  if not host.identity(path) then return nil, path .. ": no such file" end
  local fd, err = host.open(path, "rw")
  if not fd then return nil, err end
  local ok, _, code = host.lock(fd)
  if ok or code ~= "XK_EBUSY" then return fd end
  core_stream.handle_close(fd)
  return nil, path .. ": it is in use by a domain that serves disks; stop that, or the disk's guest, first"
end

local function open_chain(path)
  local list, err, code = vhd.chain(open_read, path, parent_of)
  if not list then return nil, err, code end
  return list
end

-- An image to be read. `format`: "raw", "vhd" or nil, which looks.
-- @return image, what it is; nil, message
local function open_source(path, format)
  local list, err, code
  if format ~= "raw" then
    list, err, code = open_chain(path)
    if not list and (format == "vhd" or path:lower():find "%.vhd$" or code ~= "XK_EPROTO") then
      return nil, err .. (code == "XK_EPROTO" and " (--from raw takes it as it is)" or "")
    end
  end
  local fds
  fds, err = vhd.open_all(list or { { name = path } }, open_read, true, core_stream.handle_close)
  if not fds then return nil, err end
  local image, e = core.open(list and "vhd" or "raw", fds, { readonly = true })
  if not image then return nil, path .. ": " .. e end
  return image, list and "vhd" or "raw"
end

-- --- numbers -----------------------------------------------------------------------------------------------------

-- In whole sectors.
local function size_of(text)
  local bytes, err = size.read(text)
  if not bytes then return nil, err end
  if bytes < 512 then return nil, "'" .. text .. "' is less than a sector of 512 bytes" end
  return bytes // 512 * 512
end

local human = size.write

local function new_uuid()
  local f = assert(io.open("/dev/urandom", "rb"))
  local bytes = { f:read(16):byte(1, 16) }
  f:close()
  bytes[7] = bytes[7] & 0x0f | 0x40 -- RFC 9562, 5.4
  bytes[9] = bytes[9] & 0x3f | 0x80
  return string.char(table.unpack(bytes))
end

-- --- encryption --------------------------------------------------------------------------------------------------

local function read_key(path)
  local fd, err = host.open(path, "r")
  if not fd then return nil, err end
  local key, e, code = crypt.key(fd)
  if code == "XK_E2BIG" then e = "it is longer than a key may be, 1 MiB" end
  if not key then return nil, path .. ": " .. e end
  return key
end

-- How many iterations take so many milliseconds on this machine.
local function iterations_of(ms, hash, key_bytes)
  local n, took = 1 << 14, 0
  while took < 0.1 do
    n = n * 2
    local began = os.clock()
    assert(crypt.try(hash, key_bytes, n))
    took = os.clock() - began
  end
  return math.min(math.max(n * ms // math.floor(took * 1000), COST_LEAST), COST_MOST)
end

-- What a LUKS header says; nil where there is none; nil, message of one that cannot be used.
local function luks_info(path)
  local fd, err = open_read(path)
  if not fd then return nil, err end
  local info, e, code = crypt.info(fd)
  if info then return info end
  if code == "XK_EPROTO" and e:find "^it has no" then return nil end
  return nil, path .. ": " .. e
end

-- --- long work ---------------------------------------------------------------------------------------------------

-- `step(at)` does a part and returns where to go on, whether that was all. On a terminal it is seen how far it is.
local function work(what, bytes, step)
  local at, done, err, shown = 0, false, nil, false
  local tty, begun, last = host.is_tty(2), os.time(), os.time()
  while not done do
    at, done, err = step(at)
    if not at then err = done break end
    if tty and not done and os.time() ~= last then
      last, shown = os.time(), true
      io.stderr:write(("\r\27[K%s: %d %%, %s/s"):format(what, at * 100 // bytes, human(at // (last - begun))))
    end
  end
  if shown then io.stderr:write "\r\27[K" end
  return not err, err
end

return function(fail, say, JSON)
  local run = {}

  local function format_of(path, given) return given or path:lower():find "%.vhd$" and "vhd" or "raw" end

  -- A new file in place of `path`: `fill(part)` makes it under another name.
  local function make(path, overwrite, fill)
    if host.identity(path) and not overwrite then
      return fail(path .. " is there already (--overwrite puts the new one in its place)")
    end
    local part = path .. ".part"
    os.remove(part)
    local ok, err = fill(part)
    if ok then ok, err = os.rename(part, path) end
    if ok then return 0 end
    os.remove(part)
    return fail(err)
  end

  -- Whether a new image gets a batmap. `given`: "yes", "no" or nil, which takes it where blktap would read it.
  local function with_batmap(given, block) return given == "yes" or not given and (block == 0 or block == 2 << 20) end

  -- An empty image. `kind`: raw, vhd, vhd-fixed; `batmap` as of with_batmap.
  local function make_empty(path, kind, bytes, block, batmap)
    local fd, err = host.open(path, "rw")
    if not fd then return nil, err end
    local ok, e, code
    if kind == "raw" then
      ok, e = core.truncate(fd, bytes)
    else
      ok, e, code = core.create(fd, { type = kind == "vhd" and "dynamic" or "fixed", size = bytes, block_size = block,
        time = os.time() - EPOCH, uuid = new_uuid(),
        batmap = kind == "vhd" and with_batmap(batmap, block) })
    end
    if code == "XK_ERANGE" and bytes > 2040 << 30 then
      e = ("%s: a VHD has at most 2040 GiB"):format(human(bytes))
    elseif code == "XK_ERANGE" or code == "XK_EINVAL" then
      e = "--block: a power of two from 64K to 256M, with which the image has at most 4194304 blocks"
    end
    return ok, e
  end

  local function block_of(p)
    if not p.block then return 0 end
    return size_of(p.block)
  end

  -- The header comes first; `bytes` are what is behind it.
  local function make_luks(path, bytes, p)
    local key <close>, err = read_key(p.key_file)
    if not key then return nil, err end
    local n = iterations_of(p.cost or COST, "sha256", 64)
    local fd, e = host.open(path, "rw")
    if not fd then return nil, e end
    local first, why = crypt.create(fd, { iterations = n, digest_iterations = math.max(n // 8, COST_LEAST) }, key)
    if not first then return nil, path .. ": " .. why end
    fd, e = host.open(path, "rw")
    if not fd then return nil, e end
    return core.truncate(fd, first + bytes)
  end

  function run.create(p)
    local bytes, err = size_of(p.size)
    local block, e = block_of(p)
    if not bytes or not block then return fail(err or e, 2) end
    if p.luks ~= (p.key_file ~= nil) or p.cost and not p.luks then
      return fail("--luks and --key-file belong together, and --cost to them", 2)
    end
    if p.luks then
      if format_of(p.file, p.format) ~= "raw" then return fail("--luks makes raw images only", 2) end
      return make(p.file, p.overwrite, function(part) return make_luks(part, bytes, p) end)
    end
    return make(p.file, p.overwrite, function(part)
      return make_empty(part, format_of(p.file, p.format), bytes, block, p.batmap)
    end)
  end

  function run.convert(p)
    local from <close>, err = open_source(p.from_file, p.from)
    if not from then return fail(err) end
    local block, e = block_of(p)
    if not block then return fail(e, 2) end
    local kind = format_of(p.to_file, p.format)
    return make(p.to_file, p.overwrite, function(part)
      local ok, e2 = make_empty(part, kind, from:bytes(), block, p.batmap)
      if not ok then return nil, e2 end
      local to <close>, e3 = core.open(kind == "raw" and "raw" or "vhd", { (assert(host.open(part, "rw"))) },
        { lazy = true })
      if not to then return nil, e3 end
      return work(p.to_file, from:bytes(), function(at) return from:copy(to, at, STEP, true) end)
    end)
  end

  -- --- chains ---

  local function level_line(level)
    local i = level.info
    if not i then return ("%s: raw"):format(level.name) end
    local text = ("%s: %s VHD, %s, uuid %s, made by '%s'"):format(level.name, i.type, human(i.size), vhd.uuid(i.uuid),
      (i.creator:gsub("[%c ]+$", "")))
    if i.type ~= "fixed" then
      text = text .. (", %d of %d blocks of %s"):format(i.allocated, i.blocks, human(i.block_size))
    end
    if i.batmap == "used" then text = text .. (", %d of them full by its batmap"):format(i.full)
    elseif i.batmap then text = text .. ", a batmap that is wrong and not used" end
    return text
  end

  local function level_json(level)
    local i = level.info
    if not i then return { file = level.name, type = "raw" } end
    return { file = level.name, type = i.type, size = i.size, block_size = i.block_size, blocks = i.blocks,
      allocated = i.allocated, batmap = i.batmap, full = i.full, uuid = vhd.uuid(i.uuid),
      creator = i.creator, parent_name = i.parent_name,
      parent_uuid = i.parent_uuid and vhd.uuid(i.parent_uuid), parent_time = i.parent_time }
  end

  local function say_luks(path, i, as_json)
    if as_json then
      local slots = {}
      for k = 0, #i.slots do slots[k + 1] = i.slots[k] end
      say("%s", json.encode(json.array { { file = path, type = "luks", size = i.bytes, cipher = i.cipher,
        hash = i.hash, key_bits = i.key_bytes * 8, uuid = i.uuid, data_at = i.first, slots = json.array(slots) } },
        { sorted = true }))
      return 0
    end
    say("%s: LUKS1, %s behind a header of %s, %s with a key of %d bits, %s, uuid %s", path, human(i.bytes),
      human(i.first), i.cipher, i.key_bytes * 8, i.hash, i.uuid)
    for k = 0, #i.slots do
      if i.slots[k].active then say("  key slot %d: %d iterations", k, i.slots[k].iterations) end
    end
    return 0
  end

  function run.info(p)
    local luks, why = luks_info(p.file)
    if why then return fail(why) end
    if luks then return say_luks(p.file, luks, p.json) end
    local list, err, code = open_chain(p.file)
    if not list and code == "XK_EPROTO" and not p.file:lower():find "%.vhd$" then
      local raw <close>, e = open_source(p.file, "raw")
      if not raw then return fail(e) end
      if p.json then say("%s", json.encode(json.array { { file = p.file, type = "raw", size = raw:bytes() } }))
      else say("%s: raw, %s", p.file, human(raw:bytes())) end
      return 0
    end
    if not list then return fail(err) end
    local out = {}
    for i, level in ipairs(list) do
      out[i] = level_json(level)
      if not p.json then say("%s%s", ("  "):rep(i - 1) .. (i > 1 and "over " or ""), level_line(level)) end
    end
    if p.json then say("%s", json.encode(json.array(out), { sorted = true })) end
    return 0
  end

  local function changed_since(level, parent)
    local time = level.info.parent_time
    local now = host.modified(parent.name)
    return time ~= 0 and now and now - EPOCH > time
  end

  -- The batmap of the image alone, not of its parents.
  local function mend(path)
    local fd, err = open_alone(path)
    if not fd then return nil, err end
    local ok, e, code = core.mend_batmap(fd)
    if ok then return true end
    if code == "XK_EINVAL" then
      e = "it has no batmap, or one whose place is another's; `xenkit image convert` makes an image with one"
    end
    return nil, path .. ": " .. e
  end

  function run.check(p)
    if p.mend then
      local ok, e = mend(p.file)
      if not ok then return fail(e) end
    end
    local list, err = open_chain(p.file)
    if not list then return fail(err) end
    local bad, lies = 0, false
    for i, level in ipairs(list) do
      local n, found = 0, {}
      if level.info then
        local fd, e = open_read(level.name)
        if not fd then return fail(e) end
        n, found = core.check(fd)
        if not n then return fail(level.name .. ": " .. found) end
      end
      bad = bad + n
      for _, f in ipairs(found) do
        say("%s: %s%s", level.name, f.bad and "damaged: " or "", f.text)
        lies = lies or f.bad and f.text:find "^the batmap" ~= nil
      end
      if list[i + 1] and changed_since(level, list[i + 1]) then
        say("%s: its parent, %s, was changed after it was made; if that was its contents, this image is damaged",
          level.name, list[i + 1].name)
      end
    end
    if lies then return fail(("%d findings, of which some mean that data are read wrongly: `xenkit image check " ..
      "--mend` of each image that they name makes its batmap anew"):format(bad)) end
    if bad > 0 then return fail(("%d findings mean that data may be lost; what can be read can be had by " ..
      "`xenkit image convert`"):format(bad)) end
    say("%s: sound", p.file)
    return 0
  end

  function run.snapshot(p)
    local list, err, code = open_chain(p.parent)
    local bytes
    if list then
      bytes = list[1].info.size
    elseif code == "XK_EPROTO" and not p.parent:lower():find "%.vhd$" then
      local raw <close>, e = open_source(p.parent, "raw")
      if not raw then return fail(e) end
      bytes = raw:bytes()
    else
      return fail(err)
    end
    if list and #list >= vhd.CHAIN_MAX then
      return fail(p.parent .. ": a chain has at most 30 images; coalesce one first")
    end
    local name = relative(p.file, p.parent)
    return make(p.file, false, function(part)
      local fd, e = host.open(part, "rw")
      if not fd then return nil, e end
      local ok, e2, code2 = core.create(fd, { type = "differencing", size = bytes, time = os.time() - EPOCH,
        uuid = new_uuid(), parent_uuid = list and list[1].info.uuid or RAW, parent_name = name,
        batmap = with_batmap(p.batmap, 0), parent_time = (host.modified(p.parent) or EPOCH) - EPOCH })
      if code2 == "XK_EINVAL" then e2 = name .. ": a parent's name is UTF-8 and has at most 256 characters" end
      if code2 == "XK_ERANGE" then e2 = p.parent .. ": a VHD has at most 2040 GiB" end
      return ok, e2
    end)
  end

  -- --- coalescing ---

  -- Images in the folders of both that stand on either: those over `child`, those beside it on `parent`.
  local function relatives(child, parent)
    local over, beside, seen = {}, {}, {}
    for _, dir in ipairs { (split(child.name)), (split(parent.name)) } do
      for _, e in ipairs(not seen[dir] and files.list(dir == "" and "." or dir) or {}) do
        local path = dir .. e.name
        local fd = not e.dir and path ~= child.name and open_read(path)
        local i = fd and core.info(fd)
        if i and i.type == "differencing" then
          local on = i.parent_uuid
          if on == child.info.uuid then over[#over + 1] = path end
          if parent.info and on == parent.info.uuid
            or not parent.info and on == RAW and parent_of(path, i.parent_name) == parent.name then
            beside[#beside + 1] = path
          end
        end
      end
      seen[dir] = true
    end
    return over, beside
  end

  -- Opens all that is changed, alone. @return {path = fd}
  local function take_all(paths)
    local fds = {}
    for _, path in ipairs(paths) do
      local fd, err = open_alone(path)
      if not fd then
        for _, one in pairs(fds) do core_stream.handle_close(one) end
        return nil, err
      end
      fds[path] = fd
    end
    return fds
  end

  local function write_down(list, child_fd, parent_fd)
    local child_fds, parent_fds = { child_fd }, { parent_fd }
    for i = 2, #list do child_fds[i] = assert(open_read(list[i].name)) end
    for i = 3, #list do parent_fds[i - 1] = assert(open_read(list[i].name)) end
    local top <close>, err = core.open("vhd", child_fds, { readonly = true })
    local below <close>, e = core.open(list[2].info and "vhd" or "raw", parent_fds)
    if not top or not below then return nil, err or e end
    local ok, e2 = work(list[1].name, top:bytes(), function(at) return top:coalesce(below, at, STEP) end)
    return ok, e2
  end

  function run.coalesce(p)
    local list, err = open_chain(p.file)
    if not list then return fail(err) end
    local child, parent = list[1], list[2]
    if not parent then return fail(p.file .. ": it has no parent") end
    if parent.info and parent.info.size < child.info.size then
      return fail(("%s has %s, its parent %s %s: a parent does not grow"):format(child.name, human(child.info.size),
        parent.name, human(parent.info.size)))
    end
    local over, beside = relatives(child, parent)
    if #beside > 0 and not p.force then
      return fail(("%s stands on %s, too, and would read what %s has (--force does it nevertheless)"):format(
        table.concat(beside, ", "), parent.name, child.name))
    end
    local paths = { child.name, parent.name, table.unpack(over) }
    local fds, e = take_all(paths)
    if not fds then return fail(e) end
    local ok
    ok, e = write_down(list, fds[child.name], fds[parent.name])
    for _, path in ipairs(over) do
      if ok then
        ok, e = core.set_parent(fds[path], { parent_uuid = parent.info and parent.info.uuid or RAW,
          parent_name = relative(path, parent.name), parent_time = (host.modified(parent.name) or EPOCH) - EPOCH })
        e = e and path .. ": " .. e
      else
        core_stream.handle_close(fds[path])
      end
    end
    if not ok then
      return fail(("%s; nothing is lost: %s and what stands on it read as before"):format(e, child.name))
    end
    say("%s is in %s now%s", child.name, parent.name,
      #over > 0 and ", and " .. table.concat(over, ", ") .. " stands on that" or "")
    if p.keep then return 0 end
    ok, e = os.remove(child.name)
    return ok and 0 or fail(e)
  end

  -- --- keys ---

  run["key add"] = function(p)
    local key <close>, err = read_key(p.key_file)
    if not key then return fail(err) end
    local new <close>, e = read_key(p.new_key_file)
    if not new then return fail(e) end
    local info, why = luks_info(p.file)
    if not info then return fail(why or p.file .. ": it has no LUKS header") end
    local fd, e2 = open_alone(p.file)
    if not fd then return fail(e2) end
    local slot, e3 = crypt.add(fd, key, new, iterations_of(p.cost or COST, info.hash, info.key_bytes))
    if not slot then return fail(p.file .. ": " .. e3) end
    say("%s: key slot %d", p.file, slot)
    return 0
  end

  run["key remove"] = function(p)
    local fd, err = open_alone(p.file)
    if not fd then return fail(err) end
    local ok, e = crypt.remove(fd, p.slot)
    return ok and 0 or fail(p.file .. ": " .. e)
  end

  local FILE = { "FILE", type = "path" }
  local KEY_FILE = { "--key-file", arg = "KEY", type = "path", help = "file whose bytes, all of them, are the " ..
    "passphrase; a line end at its end is one of them" }
  local COST_OPTION = { "--cost", arg = "MS", type = "integer", min = 1, max = 60000, help = "milliseconds that a " ..
    "passphrase takes to be tried here; default 2000" }
  local FORMAT = { "-f", "--format", arg = "FORMAT", choices = { "raw", "vhd", "vhd-fixed" },
    help = "of the new image; without it vhd for a name that ends with .vhd, raw for others" }
  local BLOCK = { "--block", arg = "SIZE", help = "of a VHD: it grows by so much; default 2M" }
  local BATMAP = { "--batmap", arg = "YES", choices = { "yes", "no" }, help = "whether a VHD that grows gets a " ..
    "batmap, as blktap's have one: looks at full blocks' bitmaps are spared; default yes, with another --block no" }
  local OVERWRITE = { "--overwrite", help = "put the new image in the place of what is there" }
  local specs = {
    { name = "create", summary = "make an empty image", options = { FORMAT, BLOCK, BATMAP, OVERWRITE,
      { "--luks", help = "encrypted, with a LUKS1 header; needs --key-file" }, KEY_FILE, COST_OPTION },
      positionals = { FILE, { "SIZE", help = "bytes, or with K, M, G or T, such as 10G" } },
      examples = { "xenkit image create data.vhd 10G", { "xenkit image create --luks --key-file keys/data data.img 10G",
        "and luks:data:data.img for a disk" } } },
    { name = "key", summary = "passphrases of an image with a LUKS header", verbs = {
      { name = "add", summary = "let one more passphrase open it", options = { { "--key-file", arg = "KEY",
        type = "path", required = true, help = "a passphrase that opens it" }, { "--new-key-file", arg = "KEY",
        type = "path", required = true, help = "the new one" }, COST_OPTION }, positionals = { FILE } },
      { name = "remove", summary = "make a key slot useless", description = "Its part of the header is overwritten. " ..
        "On a file system or a disk that writes to another place, what was there may be found still.",
        options = { { "--slot", arg = "N", type = "integer", min = 0, max = 7, required = true,
          help = "as `xenkit image info` shows them" } }, positionals = { FILE } } } },
    { name = "info", summary = "show what an image is, and the images it stands on", options = { JSON },
      positionals = { FILE } },
    { name = "check", summary = "look for damage in a VHD and its parents",
      description = "Nothing is changed, but for the batmap with --mend. Exit code 1: data may be lost.",
      options = { { "--mend", help = "first make FILE's batmap anew from the bitmaps of its blocks" } },
      positionals = { FILE } },
    { name = "convert", summary = "copy an image into one of another kind",
      description = "A chain becomes one image. Zeroes take no room. The new image appears when it is whole.",
      options = { { "--from", arg = "FORMAT", choices = { "raw", "vhd" }, help = "of the old image; without it " ..
        "the image tells" }, FORMAT, BLOCK, BATMAP, OVERWRITE },
      positionals = { { "FROM", key = "from_file", type = "path" }, { "TO", key = "to_file", type = "path" } },
      examples = { "xenkit image convert disk.img disk.vhd" } },
    { name = "snapshot", summary = "make an image that holds what differs from PARENT from now on",
      description = "PARENT, a VHD or raw, stays as it is: whatever is written to it later damages the new image.",
      options = { BATMAP },
      positionals = { { "PARENT", type = "path" }, FILE },
      examples = { { "xenkit image snapshot base.vhd web.vhd", "and vhd:web.vhd for a disk" } } },
    { name = "coalesce", summary = "write what an image holds to its parent, and leave it out",
      description = "Images in the same folder that stand on FILE stand on its parent then, and FILE is removed. " ..
        "It may be interrupted, or the power fail: then all read as before, and it is run again, before " ..
        "anything is written to the parent. No domain has the images meanwhile.",
      options = { { "--keep", help = "do not remove FILE" },
        { "--force", help = "also when other images stand on the parent, which change then" } },
      positionals = { FILE } },
  }
  specs.run = run
  return specs
end
