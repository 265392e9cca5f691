-- The disk service: back ends for other domains' disks, hosted, in dom0, or as a stub domain. See docs/devices.md.
local disks = require "xenkit.disks"

return {
  summary = "Serves disks to other domains, from image files, memory, or disks of its own.",
  examples = { "xenkit run --on xen scripts/services/disk.lua images=/srv/images" },
  params = {
    { "images", type = "path", default = "", help = "folder of image files; empty: none" },
    { "queues", type = "integer", default = 1, min = 1, max = 4, help = "rings that a disk is offered" },
    { "keys", type = "path", default = "", help = "folder of key files for encrypted images; empty: none" },
  },
  needs = { dir = { images = { "$images", mode = "rw", on = "hosted xen" },
    keys = { "$keys", mode = "r", on = "hosted xen" } },
    program = { crypt = { "with encryption", when = "keys", on = "hosted xen" } } },
  start = function(ctx)
    disks.new(ctx, { images = ctx.dir.images, keys = ctx.dir.keys, queues = ctx.params.queues, log = ctx.log }):run()
  end,
}
