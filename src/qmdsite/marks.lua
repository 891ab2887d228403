-- The first walk over the text: it takes the marks of marks.py out again, but for those in the attribute data-at, in
-- links and in citations, says which classes and attributes there are, and leaves out what is for other formats.

local LEAD = ("\u{104A0}"):sub(1, 3)  -- of the four bytes of a digit, the three that all have
local near = ""
local taken = {}
local dry  -- cells have not run: what they print may define or use a footnote

local function unmarked(text) return (text:gsub(LEAD .. "[\xA0-\xA9]", "")) end

local function mark_in(text)
  local from = text:find(LEAD, 1, true)
  local to = from
  while to and text:sub(to, to + 2) == LEAD do to = to + 4 end
  return from and text:sub(from, to - 1)
end

-- Notes where an element stands, and what it has.
local function visit(kind)
  return function(element)
    near = element.attributes["data-at"] or near
    for _, class in ipairs(element.classes) do use(near, kind, "class", class) end
    for name in pairs(element.attributes) do
      if name ~= "data-at" then use(near, kind, "attribute", name) end
    end
  end
end


-- Two headings of the same words have the same mark or none, and never the same name.
local function Header(header)
  visit "heading"(header)
  local id, count = unmarked(header.identifier), 0
  if id ~= header.identifier then
    header.identifier = id
    while taken[header.identifier] do
      count = count + 1
      header.identifier = id .. "-" .. count
    end
  end
  taken[header.identifier] = true
  return header
end

-- A page is "html", a notebook "ipynb", whatever pandoc writes.
local OWN = FORMAT:match "^html" and "html" or "ipynb"
local FORMATS = " html html:js ipynb pdf latex beamer typst docx odt pptx revealjs epub markdown gfm "
  .. "commonmark jats asciidoc "
local CONDITIONS = { ["when-format"] = true, ["unless-format"] = false }
local function shown(div)
  local result = div.classes:includes "content-visible"
  if not (result or div.classes:includes "content-hidden") then return true end
  local holds = true
  for name, wanted in pairs(CONDITIONS) do
    local formats = div.attributes[name]
    if formats and not FORMATS:find(" " .. formats .. " ", 1, true) then
      problem(near, "the format '" .. formats .. "' is not known")
    end
    if formats then holds = holds and ((formats:gsub(":js$", "") == OWN) == wanted) end
    div.attributes[name] = nil
  end
  return holds == result
end

local UNSUPPORTED = {
  rem = "a numbered remark", sol = "a numbered solution", alg = "an algorithm", lst = "a numbered listing",
}
for _, kind in ipairs { "nte", "tip", "wrn", "imp", "cau" } do UNSUPPORTED[kind] = "a numbered callout" end
local function Div(div)
  near = div.attributes["data-at"] or near
  visit "div"(div)
  if not shown(div) then return {}, false end
  local kind = div.identifier:match "^(%l+)%-"
  if UNSUPPORTED[kind] then problem(near, UNSUPPORTED[kind] .. " ('#" .. div.identifier .. "') is not supported") end
  if kind == "fig" or kind == "tbl" then
    local function inner(element)
      if element.t == "Figure" then
        element:walk { Image = function(image) near = image.attributes["data-at"] or near end }
      end
      if element.identifier:match("^" .. kind .. "%-") then
        problem(element.attributes["data-at"] or near, "'" .. element.identifier .. "' is part of a figure, which is not supported")
      end
    end
    pandoc.walk_block(pandoc.Div(div.content), { Image = inner, Div = inner, Table = inner, Figure = inner })
  end
  return div
end

local function Str(str)
  if not str.text:find(LEAD, 1, true) then return end
  near = mark_in(str.text)
  if str.text:match "^{#eq%-" then
    if not str.text:match "}" then problem(near, "of an equation only the label may stand in the braces") end
    return
  end
  local note = unmarked(str.text):match "%[%^[^%]]+%]"
  if note and not dry then problem(near, "the footnote '" .. note .. "' is never defined") end
  return pandoc.Str(unmarked(str.text))
end

-- What a span has decides how it is written. One that had nothing but its mark is what pandoc put small capitals into.
local function Span(span)
  visit "span"(span)
  if span.identifier ~= "" then return span end
  local marked = span.attributes["data-at"]
  span.attributes["data-at"] = nil
  return marked and span.attr == pandoc.Attr() and span.content or span
end

local function text(kind)
  return function(element)
    if kind then visit(kind)(element) end
    near = mark_in(element.text) or near
    element.text = unmarked(element.text)
    return element
  end
end

-- A path from the folder of the project becomes one from the folder of the page.
local root
local function Meta(meta) root, dry = meta.root and pandoc.utils.stringify(meta.root), meta["qmdsite-dry"] end
local function rooted(target) return target:sub(1, 1) == "/" and target:sub(2, 2) ~= "/" and root .. target:sub(2) or target end

local function Raw(raw)
  near = mark_in(raw.text) or near
  if raw.format:match "html" then
    raw.text = raw.text:gsub("(%shref=[\"'][^\"':?#]*)%.qmd", "%1.html")
      :gsub("(%shref=[\"'])(/[^/])", function(before, path) return before .. rooted(path) end)
      :gsub("(%ssrc=[\"'])(/[^/])", function(before, path) return before .. rooted(path) end)
    return raw
  end
  problem(near, "raw " .. raw.format .. " does not reach a web page; write mathematics as $$…$$")
end

local function Para(para)
  local words = pandoc.utils.stringify(para)
  if unmarked(words):match "^:::+" then problem(mark_in(words) or near, "a ':::' here, or printed by a cell, closes nothing") end
end

local function leading(kind, target)
  return function(element)
    near = mark_in(element[target]) or near
    visit(kind)(element)
    element[target] = rooted(element[target])
    return element
  end
end

local function Cite(cite)
  near = mark_in(pandoc.utils.stringify(cite.content)) or near
  return cite, false
end

-- Columns have widths only where a row of the source is long; here it is a mark that made it so.
local NARROW = "\u{104D0}"
local function Table(tab)
  visit "table"(tab)
  local head = tab.head.rows[1]
  local last = head and head.cells[#head.cells]
  if last and pandoc.utils.stringify(last.contents):find(NARROW, 1, true) then
    tab.colspecs = tab.colspecs:map(function(spec) return { spec[1] } end)
  end
  return tab
end

return {
  { Meta = Meta },
  { traverse = "topdown", Header = Header, Div = Div, Str = Str, Para = Para, Plain = Para, Table = Table, Span = Span,
    Link = leading("link", "target"), Image = leading("image", "src"), Cite = Cite,
    Code = text "code", CodeBlock = text "block", Math = text(), RawInline = Raw, RawBlock = Raw },
}
