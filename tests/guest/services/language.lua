-- Runs the language suite (tests/guest/language) in a domain; its output is compared between grounds.
return {
  summary = "The language suite, on this ground.",
  params = { { "folder", default = "tests/guest/language", help = "where it stands" } },
  needs = { lib = { language = "$folder" } },
  start = function()
    return require("language.main").run(print) == 0 and 0 or 1
  end,
}
