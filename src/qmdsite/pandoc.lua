-- Converts texts, one after another: each line that is read says in JSON what is to become of a text, each that is
-- written is the answer.

local HERE = arg[1]
local problems, uses

-- What filters tell: what is wrong, and the classes and attributes there are. A mark says the line; see marks.lua.
function problem(mark, text, further) problems:insert { mark, further or 0, text } end
function use(mark, element, what, name) uses:insert { mark, element, what, name } end

local function convert(wanted)
  FORMAT = wanted.to
  local doc = pandoc.read(wanted.text, wanted.from)
  for _, name in ipairs(wanted.filters) do
    doc = name == "citeproc" and pandoc.utils.citeproc(doc) or pandoc.utils.run_lua_filter(doc, HERE .. "/" .. name .. ".lua")
  end
  local options = wanted.options
  options.template = options.template and pandoc.template.compile(options.template)
  return pandoc.write(doc, wanted.to, options)
end

for line in io.lines() do
  problems, uses = pandoc.List(), pandoc.List()
  local log, done, text = pandoc.log.silence(pcall, convert, pandoc.json.decode(line, false))
  local answer = { done = done, text = tostring(text), problems = problems, uses = uses, log = log }
  io.write(pandoc.json.encode(answer), "\n")
  io.flush()
end
