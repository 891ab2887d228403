-- What Quarto adds to pandoc's Markdown: numbered cross-references, callouts, tabsets, margin notes, file names.
-- A first walk numbers in document order, a second one builds the HTML with the numbers.

local NAMES = {
  eq = "Equation", fig = "Figure", tbl = "Table", sec = "Section", thm = "Theorem", lem = "Lemma", cor = "Corollary",
  prp = "Proposition", cnj = "Conjecture", def = "Definition", exm = "Example", exr = "Exercise",
}
local PROOFS = { proof = "Proof", remark = "Remark", solution = "Solution" }
local number, count, section, seen, tabsets = {}, {}, {}, {}, 0
local dry, number_sections

-- The words are looked for in the source, to name a line.
local function problem(words, text) io.stderr:write("PROBLEM\t", words, "\t", text, "\n") end
local function html(text) return pandoc.RawBlock("html", text) end
local function kind(id) return id:match "^(%l+)%-" end
local function named(id) return NAMES[kind(id)] .. "\u{a0}" .. number[id] end
local function numbered(id) return pandoc.Link(named(id), "#" .. id, "", { class = "quarto-xref" }) end
local function inlines(blocks) return pandoc.utils.blocks_to_inlines(blocks) end

-- A browser may break a line on either side of a formula, so also before a full stop. Long ones stay free, to fit.
local function keep_together(list)
  for i = #list, 1, -1 do
    if list[i].mathtype == "InlineMath" then
      local first = list[i - 1] and list[i - 1].t == "Str" and i - 1 or i
      local last = list[i + 1] and list[i + 1].t == "Str" and i + 1 or i
      local parts, length = pandoc.List(), 0
      for at = first, last do
        parts:insert(list[at])
        length = length + #list[at].text
      end
      if #parts > 1 and length <= 30 then
        list[i] = pandoc.Span(parts, { class = "nowrap" })
        if last > i then list:remove(last) end
        if first < i then list:remove(first) end
      end
    end
  end
  return list
end

-- Each display gets a span, which scrolls if it is wide. The label of an equation follows it as the text '{#eq-x}'.
local function Inlines(list)
  for i = #list, 1, -1 do
    local id, rest = (list[i].text or ""):match "^{#(eq%-[%w_.:-]+)}(.*)$"
    local at = not id and i or list[i - 1] and list[i - 1].text and i - 1 or i - 2
    if list[at] and list[at].mathtype == "DisplayMath" then
      list[at] = pandoc.Span({ list[at] }, pandoc.Attr(id or "", { "equation" }))
      if id then list[i] = pandoc.Str(rest) end
      for _ = at + 1, i - 1 do list:remove(at + 1) end
    end
  end
  return keep_together(list)
end

-- Whether a div's headings are titles, of it or of its tabs, and so no sections of the text.
local function has_titles(div)
  local titled = div.classes:find_if(function(class) return class:match "^callout%-" or class == "panel-tabset" or PROOFS[class] end)
  return titled or NAMES[kind(div.identifier)]
end

local function enumerate(element)
  local id = element.identifier
  if element.t == "Div" and has_titles(element) then
    for _, block in ipairs(element.content) do
      if block.t == "Header" then block.classes:insert "unnumbered" end
    end
  end
  if id == "" then return element end
  if seen[id] then problem(id, "the label '" .. id .. "' is used twice on this page; labels must differ") end
  seen[id] = true
  if element.t == "Header" and not element.classes:includes "unnumbered" then
    for level = element.level + 1, 6 do section[level] = nil end
    section[element.level] = (section[element.level] or 0) + 1
    local digits = {}
    for level = 1, element.level do table.insert(digits, section[level]) end
    number[id] = table.concat(digits, ".")
  elseif NAMES[kind(id)] and element.t ~= "Header" then
    count[kind(id)] = (count[kind(id)] or 0) + 1
    number[id] = tostring(count[kind(id)])
  end
  return element
end

-- The template puts texts into attributes, where a quotation mark would end them.
local function attribute(text)
  local escapes = { ["&"] = "&amp;", ["<"] = "&lt;", ['"'] = "&quot;" }
  return pandoc.RawInline("html", (pandoc.utils.stringify(text):gsub('[&<"]', escapes)))
end

local function Pandoc(doc)
  dry, number_sections = doc.meta["qmdsite-dry"], doc.meta["number-sections"]
  local walk = { traverse = "topdown" }
  for _, tag in ipairs { "Header", "Div", "Figure", "Table", "Span", "CodeBlock", "Image", "Link" } do
    walk[tag] = enumerate
  end
  doc.blocks:walk(walk)
  -- The fonts that are used at the top of every page, and those for mathematics and code where there is some.
  local fonts = pandoc.List { "fonts/text", "fonts/text-bold", "fonts/sans", "fonts/sans-bold" }
  local uses = {}
  local function code() uses[1] = "fonts/mono" end
  local function math() uses[2], uses[3] = "math", "fonts/text-italic" end
  doc.blocks:walk { Code = code, CodeBlock = code, Math = math }
  for _, font in pairs(uses) do fonts:insert(font) end
  doc.meta.fonts = fonts
  for _, name in ipairs { "description-meta", "site-title", "image-alt", "toc-title" } do
    doc.meta[name] = doc.meta[name] and attribute(doc.meta[name])
  end
  for _, item in ipairs(doc.meta.listing and doc.meta.listing.items or {}) do item.tags = attribute(item.tags) end
  return doc
end

-- A figure or table with its caption: below a figure, above a table.
local function float(id, caption, content, class)
  if NAMES[kind(id)] then
    caption = pandoc.List { numbered(id), pandoc.Str(#caption > 0 and ":" or ""), pandoc.Space() } .. caption
  end
  local figcaption = pandoc.List { html "<figcaption>", pandoc.Plain(caption), html "</figcaption>" }
  local inner = kind(id) == "tbl" and figcaption .. content or pandoc.List(content) .. figcaption
  local figure = pandoc.List { html "<figure>" } .. inner .. { html "</figure>" }
  return pandoc.Div(figure, pandoc.Attr(id, { "quarto-float", class }))
end

local function float_div(div)
  local last, from_cell = div.content[#div.content], div.classes:includes "cell-float"
  local is_caption = last and (from_cell and last.classes and last.classes[1] == "cell-caption" or last.t == "Para")
  local caption = is_caption and inlines { div.content:remove() } or {}
  return float(div.identifier, caption, div.content, from_cell and "from-cell" or "")
end

local function take_title(div)
  local first = div.content[1]
  return first and first.t == "Header" and div.content:remove(1).content
end

local function callout(div, name)
  local given = div.attributes.title and inlines(pandoc.read(div.attributes.title).blocks) or take_title(div)
  local style = div.attributes.appearance or "default"
  local title = given or style == "default" and { pandoc.Str(name:sub(1, 1):upper() .. name:sub(2)) }
  local head = pandoc.List(title and { pandoc.Div({ pandoc.Plain(title) }, { class = "callout-title-container" }) } or {})
  if div.attributes.collapse and title then
    local open = div.attributes.collapse == "true" and "" or " open"
    head = pandoc.List { html("<details" .. open .. "><summary>") } .. head .. { html "</summary>" }
    div.content:insert(html "</details>")
  end
  return pandoc.Div(head .. div.content, pandoc.Attr(div.identifier, { "callout", "callout-" .. name }))
end

-- Radio buttons switch the tabs, so that no script is needed.
local function tabset(div)
  tabsets = tabsets + 1
  local name, level = "tabset-" .. tabsets, div.content[1] and div.content[1].level
  local tabs, panes = pandoc.List { html "<ul>" }, pandoc.List()
  if not level then return problem("panel-tabset", "a tabset must start with a heading: each heading is a tab") end
  for _, block in ipairs(div.content) do
    if block.level == level then
      local radio = '<li><label><input type="radio" name="' .. name .. '"' .. (#panes == 0 and " checked>" or ">")
      tabs:extend { html(radio), pandoc.Plain(block.content), html "</label></li>" }
      panes:insert(pandoc.Div({}, pandoc.Attr(name .. "-" .. #panes + 1, { "tab-pane" })))
    else
      panes[#panes].content:insert(block)
    end
  end
  if #panes > 6 then problem("panel-tabset", "a tabset may have six tabs, not " .. #panes) end
  return pandoc.Div(tabs .. { html "</ul>" } .. panes, pandoc.Attr(div.identifier, { "panel-tabset" }))
end

local function theorem(div, class, name)
  local title = take_title(div)
  local words = pandoc.List { name }
  if title then words = words .. { pandoc.Str " (" } .. title .. { pandoc.Str ")" } end
  if class == "proof" then words = { pandoc.Emph(words .. { pandoc.Str "." }) } end
  if not div.content[1] or div.content[1].t ~= "Para" then div.content:insert(1, pandoc.Para {}) end
  local lead = { pandoc.Span(words, { class = "theorem-title" }), pandoc.Space() }
  div.content[1].content = pandoc.List(lead) .. div.content[1].content
  div.classes:insert(1, class)
  return div
end

local function Div(div)
  local prefix = kind(div.identifier)
  for name in pairs(div.attributes) do
    if name:match "^layout" then problem(name, "the div attribute '" .. name .. "' is not supported") end
  end
  for _, class in ipairs(div.classes) do
    local group, name = class:match "^(%a+)%-(.+)$"
    if group == "callout" then return callout(div, name) end
    if class == "panel-tabset" then return tabset(div) end
    if PROOFS[class] then return theorem(div, "proof", pandoc.Str(PROOFS[class])) end
    if group == "panel" or group == "content" or group == "column" and name ~= "margin" then
      problem(class, "the div class '" .. class .. "' is not supported")
    end
  end
  if prefix == "fig" or prefix == "tbl" or div.classes:includes "cell-float" then return float_div(div) end
  if NAMES[prefix] and number[div.identifier] then return theorem(div, "theorem", numbered(div.identifier)) end
end

local function Figure(figure) return float(figure.identifier, inlines(figure.caption.long), figure.content, "") end

local function Table(tab)
  local id, caption, framed = tab.identifier, inlines(tab.caption.long), { class = "table" }
  if kind(id) ~= "tbl" then return pandoc.Div({ tab }, framed) end
  tab.identifier, tab.caption = "", pandoc.Caption()
  return float(id, caption, { pandoc.Div({ tab }, framed) }, "")
end

local function Image(image)
  for name in pairs(image.attributes) do
    if not (name == "fig-alt" or name == "width" or name == "height") then
      problem(name, "the image attribute '" .. name .. "' is not supported")
    end
  end
  image.attributes.alt, image.attributes["fig-alt"] = image.attributes["fig-alt"], nil
  return image
end

local function Link(link)
  if not (link.target:match "^%a[%w+.-]*:" or link.classes:includes "source") then
    link.target = link.target:gsub("%.qmd$", ".html"):gsub("%.qmd#", ".html#")
  end
  return link
end

local function Span(span)
  if span.classes[1] ~= "equation" or span.identifier == "" then return end
  local mark = pandoc.Link("(" .. number[span.identifier] .. ")", "#" .. span.identifier, "", { class = "equation-number" })
  span.content = { pandoc.Span(span.content, { class = "equation-body" }), mark }
  return span
end

local function Header(header)
  if number_sections and number[header.identifier] then
    local digits = pandoc.Span(number[header.identifier], { class = "header-section-number" })
    header.content = pandoc.List { digits, pandoc.Space() } .. header.content
  end
  return header
end

local function Cite(cite)
  local result = pandoc.List()
  for _, citation in ipairs(cite.citations) do
    local id = citation.id
    local name = NAMES[kind(id)]
    if name and number[id] then
      if #citation.prefix + #citation.suffix > 0 then
        problem("@" .. id, "write the words beside '@" .. id .. "' outside the brackets")
      end
      local text = citation.mode == "SuppressAuthor" and number[id] or named(id)
      result:extend { pandoc.Str(#result > 0 and ", " or ""), pandoc.Link(text, "#" .. id, "", { class = "quarto-xref" }) }
    elseif name then
      result:insert(pandoc.Str(id))
      if not dry then problem("@" .. id, "'@" .. id .. "' refers to nothing: this page has no such " .. name:lower()) end
    end
  end
  return #result > 0 and result or nil
end

-- A margin note within a paragraph becomes a block behind it.
local function Para(para)
  local blocks = pandoc.List()
  local colons = pandoc.utils.stringify(para):match "^:::+ ?%S*"
  if colons then problem(colons, "a ':::' here, or printed by a cell, closes nothing") end
  blocks:insert(para:walk { Span = function(span)
    if not span.classes:includes "aside" then return end
    blocks:insert(pandoc.Div({ pandoc.Plain { pandoc.Span(span.content) } }, { class = "column-margin" }))
    return {}
  end })
  table.insert(blocks, 1, blocks:remove())
  return blocks
end

local function Str(text)
  local note = text.text:match "%[%^[^%]]+%]"
  if note then problem(note, "the footnote '" .. note .. "' is never defined") end
end

local function Raw(raw)
  if raw.format:match "html" then return end
  problem(raw.text:match "[^\n]*", "raw " .. raw.format .. " does not reach a web page; write mathematics as $$…$$")
end

local function CodeBlock(code)
  local filename = code.attributes.filename
  if not filename then return end
  code.attributes.filename = nil
  local head = pandoc.Div({ html("<pre><strong>" .. filename .. "</strong></pre>") }, { class = "code-with-filename-file" })
  return pandoc.Div({ head, code }, { class = "code-with-filename" })
end

return {
  { Inlines = Inlines },
  { Pandoc = Pandoc },
  { Cite = Cite, Span = Span, Link = Link, Image = Image, Header = Header, Para = Para, Div = Div, Figure = Figure,
    Table = Table, Str = Str, CodeBlock = CodeBlock, RawBlock = Raw, RawInline = Raw },
}
