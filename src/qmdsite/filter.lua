-- What Quarto adds to pandoc's Markdown: numbered cross-references, callouts, tabsets, margin notes, file names.
-- A first walk numbers in document order, a second one builds the HTML with the numbers.

local NAMES = {
  eq = "Equation", fig = "Figure", tbl = "Table", sec = "Section", thm = "Theorem", lem = "Lemma", cor = "Corollary",
  prp = "Proposition", cnj = "Conjecture", def = "Definition", exm = "Example", exr = "Exercise",
}
local PROOFS = { proof = "Proof", remark = "Remark", solution = "Solution" }
local number, count, section, seen, tabsets = {}, {}, {}, {}, 0
local dry, number_sections

-- The mark of the line that an element stands on: see marks.lua.
local function at(element)
  local mark = element.attributes and element.attributes["data-at"]
  if element.t == "Figure" then element:walk { Image = function(image) mark = mark or image.attributes["data-at"] end } end
  return mark or ""
end
local MARK = "\xF0\x90\x92[\xF0\x90\x92\xA0-\xA9]*"
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
    local id, mark, rest = (list[i].text or ""):match "^{#(eq%-[%w_.:-]+)([\xF0\x90\x92\xA0-\xA9]*)}(.*)$"
    local at = not id and i or list[i - 1] and list[i - 1].text and i - 1 or i - 2
    if list[at] and list[at].mathtype == "DisplayMath" then
      local place = id and mark ~= "" and { ["data-at"] = mark } or {}
      list[at] = pandoc.Span({ list[at] }, pandoc.Attr(id or "", { "equation" }, place))
      if id then list[i] = pandoc.Str(rest) end
      for _ = at + 1, i - 1 do list:remove(at + 1) end
    elseif id then
      problem(mark, "the label '" .. id .. "' must stand behind a display, $$…$$, in the same paragraph")
    end
  end
  return keep_together(list)
end

-- Whether a div's headings are titles, of it or of its tabs, and so no sections of the text.
local function has_titles(div)
  local titled = div.classes:find_if(function(class) return class:match "^callout%-" or class == "panel-tabset" or PROOFS[class] end)
  return titled or NAMES[kind(div.identifier)]
end

-- What a person writes has its caption in its last paragraph, and no other one within.
local function captioned(div)
  local last, other = div.content[#div.content], false
  local function has(element) other = other or #element.caption.long > 0 end
  pandoc.walk_block(pandoc.Div(div.content), { Table = has, Figure = has })
  local pictured = false
  if last then pandoc.walk_block(pandoc.Div { last }, { Image = function() pictured = true end }) end
  if other or not last or last.t ~= "Para" or pictured then
    problem(at(div), "the caption of '" .. div.identifier .. "' must be its last paragraph, and the only caption in it")
  end
end

local function enumerate(element)
  local id = element.identifier
  if element.t == "Div" and has_titles(element) then
    for _, block in ipairs(element.content) do
      if block.t == "Header" then block.classes:insert "unnumbered" end
    end
  end
  if id == "" then return element end
  if seen[id] then problem(at(element), "the label '" .. id .. "' is used twice on this page; labels must differ") end
  seen[id] = true
  if element.t == "Div" and (kind(id) == "fig" or kind(id) == "tbl") and not element.classes:includes "cell-float" then
    captioned(element)
  end
  if element.t == "Header" and NAMES[kind(id)] and kind(id) ~= "sec" then
    problem(at(element), "the label of a heading may start with sec-, and not with " .. kind(id) .. "-")
  end
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

local function Pandoc(doc)
  dry, number_sections = doc.meta["qmdsite-dry"], doc.meta["number-sections"]
  local walk = { traverse = "topdown" }
  for _, tag in ipairs { "Header", "Div", "Figure", "Table", "Span", "CodeBlock", "Image", "Link" } do
    walk[tag] = enumerate
  end
  doc.blocks:walk(walk)
  local about = doc.meta.description
  doc.meta["plain-description"] = about and pandoc.MetaString(pandoc.utils.stringify(about))
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

local CHOICES = { collapse = " true false ", icon = " true false ", appearance = " default simple minimal " }
local function callout(div, name)
  for option, choices in pairs(CHOICES) do
    local given = div.attributes[option]
    if given and not choices:find(" " .. given .. " ", 1, true) then
      problem(at(div), option .. " is '" .. given .. "', and may only be one of:" .. choices)
    end
  end
  local given = div.attributes.title and inlines(pandoc.read(div.attributes.title).blocks) or take_title(div)
  local style = div.attributes.appearance or "default"
  local title = given or style == "default" and { pandoc.Str(name:sub(1, 1):upper() .. name:sub(2)) }
  local about = { class = "callout-title-container" }
  local head = pandoc.List(title and { pandoc.Div({ pandoc.Plain(title) }, about) } or {})
  if div.attributes.collapse and title then
    local open = div.attributes.collapse == "true" and "" or " open"
    local summary = pandoc.Plain(pandoc.Span(title, about))
    head = pandoc.List { html("<details" .. open .. "><summary>"), summary, html "</summary>" }
    div.content:insert(html "</details>")
  end
  return pandoc.Div(head .. div.content, pandoc.Attr(div.identifier, { "callout", "callout-" .. name }))
end

-- Radio buttons switch the tabs, so that no script is needed.
local function tabset(div)
  tabsets = tabsets + 1
  local name, level = "tabset-" .. tabsets, div.content[1] and div.content[1].level
  local tabs, panes = pandoc.List { html "<ul>" }, pandoc.List()
  if not level then return problem(at(div), "a tabset must start with a heading: each heading is a tab") end
  for _, block in ipairs(div.content) do
    if block.level and block.level < level then
      problem(at(block), "this heading would end the tabset; it is above its tabs")
    end
    if block.level == level then
      local radio = '<li><label><input type="radio" name="' .. name .. '"' .. (#panes == 0 and " checked>" or ">")
      tabs:extend { html(radio), pandoc.Plain(block.content), html "</label></li>" }
      panes:insert(pandoc.Div({}, pandoc.Attr(name .. "-" .. #panes + 1, { "tab-pane" })))
    else
      panes[#panes].content:insert(block)
    end
  end
  if #panes > 6 then problem(at(div), "a tabset may have six tabs, not " .. #panes) end
  return pandoc.Div(tabs .. { html "</ul>" } .. panes, pandoc.Attr(div.identifier, { "panel-tabset" }))
end

local function theorem(div, class, name)
  local title = take_title(div) or div.attributes.name and inlines(pandoc.read(div.attributes.name).blocks)
  div.attributes.name = nil
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
  for _, class in ipairs(div.classes) do
    local group, name = class:match "^(%a+)%-(.+)$"
    if group == "callout" then return callout(div, name) end
    if class == "panel-tabset" then return tabset(div) end
    if PROOFS[class] then return theorem(div, "proof", pandoc.Str(PROOFS[class])) end
    if class == "aside" then return pandoc.Div(div.content, { class = "column-margin" }) end
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
  if kind(image.identifier) == "fig" then
    problem(at(image), "'" .. image.identifier .. "' needs a caption, in the brackets, and a paragraph of its own")
  end
  image.attributes.alt, image.attributes["fig-alt"] = image.attributes["fig-alt"], nil
  return image
end

local function Link(link)
  if not (link.target:match "^%a[%w+.-]*:" or link.classes:includes "source") then
    link.target = link.target:gsub("%.qmd(" .. MARK .. ")$", ".html%1"):gsub("%.qmd$", ".html"):gsub("%.qmd([?#])", ".html%1")
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
  local result, citations = pandoc.List(), pandoc.List()
  local references = cite.citations:find_if(function(citation) return NAMES[kind(citation.id)] end)
  for _, citation in ipairs(cite.citations) do
    local id, mark = citation.id:match("^(.-)(" .. MARK .. ")$")
    id, mark = id or citation.id, mark or ""
    citation.id = id
    citations:insert(citation)
    local name, small = NAMES[kind(id)], id:sub(1, 1):lower() .. id:sub(2)
    if name and number[id] then
      if #citation.prefix + #citation.suffix > 0 then
        problem(mark, "write the words beside '@" .. id .. "' outside the brackets")
      end
      local text = citation.mode == "SuppressAuthor" and number[id] or named(id)
      result:extend { pandoc.Str(#result > 0 and ", " or ""), pandoc.Link(text, "#" .. id, "", { class = "quarto-xref" }) }
    elseif name then
      result:insert(pandoc.Str(id))
      if not dry then problem(mark, "'@" .. id .. "' refers to nothing: this page has no such " .. name:lower()) end
    elseif NAMES[kind(small)] then
      result:insert(pandoc.Str(id))
      problem(mark, "a reference starts with a small letter: write '@" .. small .. "' for '@" .. id .. "'")
    elseif references then
      problem(mark, "'@" .. id .. "' is cited, and needs brackets of its own, without references")
    end
  end
  cite.citations = citations
  return #result > 0 and result or cite
end

-- A margin note within a paragraph becomes a block behind it.
local function Para(para)
  local link = #para.content == 1 and para.content[1]
  local image = link and link.t == "Link" and #link.content == 1 and link.content[1]
  if image and image.t == "Image" and #image.caption > 0 then
    local mark = link.target:match("(" .. MARK .. ")$") or ""
    problem(mark, "a picture that is a link is a figure to Quarto if it stands alone; write words beside it")
  end
  local blocks = pandoc.List()
  blocks:insert(para:walk { Span = function(span)
    if not span.classes:includes "aside" then return end
    blocks:insert(pandoc.Div({ pandoc.Plain { pandoc.Span(span.content) } }, { class = "column-margin" }))
    return {}
  end })
  table.insert(blocks, 1, blocks:remove())
  return blocks
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
    Table = Table, CodeBlock = CodeBlock },
}
