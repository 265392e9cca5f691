-- Keeps files in a FAT file system on its disk: counts in each, syncs, and tells in the store how far it is.
local fat = require "xenkit.fat"

local FILES = 8

return {
  summary = "Uses a FAT file system.",
  start = function(ctx)
    local disk = ctx.disk.data
    local function fail(err, code)
      ctx.store:write("data/error", (code or "") .. " " .. tostring(err))
      return 1
    end
    local ok, err, code = disk:wait(10)
    if not ok then return fail(err, code) end
    local fs <close>, e, c = fat.mount(disk, { format = { label = "E2E" } }) -- a domain that is shut down ends here, too
    if not fs then return fail(e, c) end
    assert(fs:make_path "/counts/deep")
    local counts, wrong = {}, 0
    for i = 1, FILES do
      local text = fs:read(("/counts/deep/A long name, number %d"):format(i))
      counts[i] = tonumber((text or "0"):match "^%d+")
      if text and text ~= (counts[i] .. " "):rep(300) then wrong = wrong + 1 end
    end
    ctx.store:write("data/wrong", wrong)
    ctx.store:write("data/found", math.min(table.unpack(counts)))
    local n = math.max(table.unpack(counts))
    while not ctx.stopping() do
      n = n + 1
      for i = 1, FILES do
        ok, err, code = fs:write(("/counts/deep/A long name, number %d"):format(i), (n .. " "):rep(300))
        if not ok then return fail(err, code) end
      end
      ok, err, code = fs:sync()
      if not ok then return fail(err, code) end
      ctx.store:write("data/synced", n)
    end
  end,
}
