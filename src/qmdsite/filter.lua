-- What Quarto adds to pandoc's Markdown: numbered cross-references, callouts, tabsets, margin notes, annotated code.
-- Numbers are given in one walk in document order, and used in a second that builds the HTML.
-- A problem is one line on stderr: PROBLEM <tab> words to look for in the source <tab> what is wrong.

local NAMES = {
  eq = "Equation", fig = "Figure", tbl = "Table", sec = "Section", thm = "Theorem", lem = "Lemma", cor = "Corollary",
  prp = "Proposition", cnj = "Conjecture", def = "Definition", exm = "Example", exr = "Exercise",
}
local PROOFS = { proof = "Proof", remark = "Remark", solution = "Solution" }
local CALLOUTS = { note = "Note", tip = "Tip", warning = "Warning", important = "Important", caution = "Caution" }
local number, count, section, seen, tabsets = {}, {}, {}, {}, 0
local dry, number_sections

local function problem(words, text) io.stderr:write("PROBLEM\t", words, "\t", text, "\n") end
local function html(text) return pandoc.RawBlock("html", text) end
local function kind(id) return id:match "^(%l+)%-" end
local function named(id, name) return name .. "\u{a0}" .. number[id] end

local function label(id)
  if id == "" then return end
  if seen[id] then problem("#" .. id, "the label '" .. id .. "' is used twice on this page; labels must differ") end
  seen[id] = true
end

local function numbered(id)
  label(id)
  local prefix = kind(id)
  if not NAMES[prefix] or prefix == "sec" then return end
  count[prefix] = (count[prefix] or 0) + 1
  number[id] = tostring(count[prefix])
end

-- An equation's label follows it as the text '{#eq-x}'; it becomes a span around both.
local function equations(inlines)
  local result = pandoc.List()
  for _, inline in ipairs(inlines) do
    local id = inline.t == "Str" and inline.text:match "^{#(eq%-[%w_.:-]+)}"
    local at = #result
    if id and at > 0 and result[at].t:match "^S[po]" and result[at].t ~= "Span" then at = at - 1 end
    if id and at > 0 and result[at].t == "Span" and result[at].classes[1] == "equation" then
      while #result > at do result:remove() end
      result[at].identifier = id
      local rest = inline.text:match "}(.*)$"
      if rest ~= "" then result:insert(pandoc.Str(rest)) end
    elseif inline.t == "Math" and inline.mathtype == "DisplayMath" then
      result:insert(pandoc.Span({ inline }, { class = "equation" }))
    else
      result:insert(inline)
    end
  end
  return result
end

local function number_header(header)
  label(header.identifier)
  if header.classes:includes "unnumbered" then return end
  for level = header.level + 1, 6 do section[level] = nil end
  section[header.level] = (section[header.level] or 0) + 1
  local digits = pandoc.List()
  for level = 1, header.level do if section[level] then digits:insert(section[level]) end end
  number[header.identifier] = table.concat(digits, ".")
end

local function number_all(doc)
  dry, number_sections = doc.meta["qmdsite-dry"], doc.meta["number-sections"]
  local function element(each) numbered(each.identifier) end
  doc.blocks:walk { traverse = "topdown", Header = number_header, Div = element, Figure = element, Table = element,
    Span = element, CodeBlock = element, Image = element, Link = element }
end

local function float(id, class, caption, content)
  local prefix = kind(id)
  if NAMES[prefix] then
    local name = named(id, NAMES[prefix])
    caption = pandoc.List { pandoc.Str(name .. (#caption > 0 and ":" or "")), pandoc.Space() } .. caption
  end
  local figcaption = pandoc.List { html "<figcaption>", pandoc.Plain(caption), html "</figcaption>" }
  local body = prefix == "tbl" and figcaption .. content or pandoc.List(content) .. figcaption
  local blocks = pandoc.List { html "<figure>" } .. body .. { html "</figure>" }
  return pandoc.Div(blocks, pandoc.Attr(id, { class, "quarto-float" }))
end

local function float_div(div)
  local caption, last = {}, div.content[#div.content]
  local from_cell = div.classes:includes "cell-float"
  if last and last.t == "Div" and last.classes[1] == "cell-caption" then
    caption = pandoc.utils.blocks_to_inlines(last.content)
  elseif last and last.t == "Para" and not from_cell then
    caption = last.content
  end
  local content = pandoc.List(div.content)
  if #caption > 0 then content:remove() end
  return float(div.identifier, kind(div.identifier) == "tbl" and from_cell and "cell" or "float", caption, content)
end

local function titled(div)
  local first = div.content[1]
  if not first or first.t ~= "Header" then return nil end
  div.content:remove(1)
  return first.content
end

local function callout(div, name)
  if not CALLOUTS[name] then problem("callout-" .. name, "there is no callout '" .. name .. "'") return end
  local style = div.attributes.appearance or "default"
  if style ~= "default" and style ~= "simple" and style ~= "minimal" then
    problem(style, "a callout's appearance may be default, simple or minimal, not '" .. style .. "'")
  end
  local title = titled(div)
  if div.attributes.title then title = pandoc.utils.blocks_to_inlines(pandoc.read(div.attributes.title, "markdown").blocks) end
  if style == "default" then title = title or { pandoc.Str(CALLOUTS[name]) } end
  local classes = { "callout", "callout-" .. name, "callout-style-" .. style }
  local collapse = div.attributes.collapse
  if not title then return pandoc.Div(div.content, pandoc.Attr(div.identifier, classes)) end
  local head = pandoc.Div({ pandoc.Plain(title) }, { class = "callout-title-container" })
  table.insert(classes, "callout-titled")
  local blocks = pandoc.List { head } .. div.content
  if collapse then
    local open = collapse == "true" and "<details>" or "<details open>"
    blocks = pandoc.List { html(open .. "<summary>"), head, html "</summary>" } .. div.content .. { html "</details>" }
  end
  return pandoc.Div(blocks, pandoc.Attr(div.identifier, classes))
end

-- Radio buttons switch the tabs, so that they need no script.
local function tabset(div)
  tabsets = tabsets + 1
  local name, tabs, panes = "tabset-" .. tabsets, pandoc.List { html "<ul>" }, pandoc.List()
  local level = div.content[1] and div.content[1].t == "Header" and div.content[1].level
  if not level then problem("panel-tabset", "a panel-tabset must start with a heading: each heading is a tab") return end
  for _, block in ipairs(div.content) do
    if block.t == "Header" and block.level == level then
      panes:insert(pandoc.Div({}, pandoc.Attr(name .. "-" .. #panes + 1, { "tab-pane" })))
      local checked = #panes == 1 and " checked" or ""
      local radio = '<input type="radio" name="' .. name .. '"' .. checked .. ">"
      tabs:insert(html("<li><label>" .. radio))
      tabs:insert(pandoc.Plain(block.content))
      tabs:insert(html "</label></li>")
    else
      panes[#panes].content:insert(block)
    end
  end
  if #panes > 6 then problem("panel-tabset", "a panel-tabset may have six tabs, not " .. #panes) end
  tabs:insert(html "</ul>")
  return pandoc.Div(tabs .. panes, pandoc.Attr(div.identifier, { "panel-tabset" }))
end

local function theorem(div, class, name)
  local title = titled(div)
  local words = pandoc.List { pandoc.Str(name) }
  if title then words = words .. { pandoc.Space(), pandoc.Str "(" } .. title .. { pandoc.Str ")" } end
  if class == "proof" then words = pandoc.List { pandoc.Emph(words .. { pandoc.Str "." }) } end
  local lead = pandoc.List { pandoc.Span(words, { class = "theorem-title" }), pandoc.Space() }
  if div.content[1] and div.content[1].t == "Para" then
    div.content[1].content = lead .. div.content[1].content
  else
    div.content:insert(1, pandoc.Para(lead))
  end
  div.classes:insert(1, class)
  return div
end

local function Div(div)
  local prefix = kind(div.identifier)
  for _, class in ipairs(div.classes) do
    local name = class:match "^callout%-(%a+)$"
    if name then return callout(div, name) end
    if PROOFS[class] then return theorem(div, "proof", PROOFS[class]) end
    if class:match "^panel%-" and class ~= "panel-tabset" or class:match "^column%-" and class ~= "column-margin"
      or class:match "^content%-" then
      problem(class, "the div class '" .. class .. "' is not supported")
    end
  end
  for name in pairs(div.attributes) do
    if name:match "^layout" then problem(name, "the div attribute '" .. name .. "' is not supported") end
  end
  if div.classes:includes "panel-tabset" then return tabset(div) end
  if prefix == "fig" or prefix == "tbl" or div.classes:includes "cell-float" then return float_div(div) end
  if prefix ~= "eq" and prefix ~= "sec" and NAMES[prefix] then
    return theorem(div, "theorem", named(div.identifier, NAMES[prefix]))
  end
end

local function Figure(figure)
  local caption = pandoc.utils.blocks_to_inlines(figure.caption.long)
  return float(figure.identifier, "float", caption, figure.content)
end

local function Table(table_)
  if kind(table_.identifier) ~= "tbl" then return pandoc.Div({ table_ }, { class = "table" }) end
  local id, caption = table_.identifier, pandoc.utils.blocks_to_inlines(table_.caption.long)
  table_.identifier, table_.caption = "", pandoc.Caption()
  return float(id, "float", caption, { pandoc.Div({ table_ }, { class = "table" }) })
end

local function Image(image)
  image.attributes.alt, image.attributes["fig-alt"] = image.attributes["fig-alt"], nil
  for name in pairs(image.attributes) do
    if not (name == "alt" or name == "width" or name == "height") then
      problem(name, "the image attribute '" .. name .. "' is not supported")
    end
  end
  return image
end

local function Link(link)
  if not link.target:match "^%a[%w+.-]*:" then link.target = link.target:gsub("%.qmd$", ".html"):gsub("%.qmd#", ".html#") end
  return link
end

local function Span(span)
  local id = span.identifier
  if kind(id) == "eq" and span.classes[1] == "equation" then
    local mark = pandoc.Link("(" .. number[id] .. ")", "#" .. id, "", { class = "equation-number" })
    span.content = { pandoc.Span(span.content, { class = "equation-body" }), mark }
    return span
  end
end

local function Header(header)
  if number_sections and number[header.identifier] then
    header.content:insert(1, pandoc.Space())
    header.content:insert(1, pandoc.Span(number[header.identifier], { class = "header-section-number" }))
  end
  return header
end

local function Cite(cite)
  local result = pandoc.List()
  for _, citation in ipairs(cite.citations) do
    local id = citation.id
    local name = NAMES[kind(id)]
    if name and number[id] then
      if #citation.prefix > 0 or #citation.suffix > 0 then
        problem("@" .. id, "words beside '@" .. id .. "' in brackets are not supported; write them outside the brackets")
      end
      local text = citation.mode == "SuppressAuthor" and number[id] or named(id, name)
      if #result > 0 then result:insert(pandoc.Str ", ") end
      result:insert(pandoc.Link(text, "#" .. id, "", { class = "quarto-xref" }))
    elseif name then
      if not dry then problem("@" .. id, "'@" .. id .. "' refers to nothing: no " .. name:lower() .. " here has this label") end
      result:insert(pandoc.Str(id))
    end
  end
  return #result > 0 and result or nil
end

-- A margin note within a paragraph is moved behind it, as a block of its own.
local function Para(para)
  local notes = pandoc.List()
  para = para:walk { Span = function(span)
    if span.classes:includes "aside" then
      notes:insert(pandoc.Div({ pandoc.Plain { pandoc.Span(span.content) } }, { class = "column-margin" }))
      return {}
    end
  end }
  if #notes > 0 then return pandoc.List { para } .. notes end
end

local function Raw(raw)
  if not raw.format:match "html" then
    problem(raw.text:match "[^\n]*", "raw " .. raw.format .. " does not reach a web page; write mathematics as $$…$$")
  end
end

local function annotated(code)
  local rendered = pandoc.write(pandoc.Pandoc { code }, "html")
  return rendered:gsub('<span class="co"># &lt;(%d+)&gt;</span>', '<span class="annotation">%1</span>')
end

local function Blocks(blocks)
  for at, block in ipairs(blocks) do
    local code = block.t == "CodeBlock" and block or block.t == "Div" and block.classes[1] == "cell" and block.content[1]
    if code and code.t == "CodeBlock" and code.text:match "# <%d+>" then
      local list, marks = blocks[at + 1], pandoc.List()
      if list and list.t == "OrderedList" then
        for i, item in ipairs(list.content) do marks:insert { { pandoc.Str(tostring(i)) }, { item } } end
        blocks[at + 1] = pandoc.Div({ pandoc.DefinitionList(marks) }, { class = "cell-annotation" })
      end
      if block == code then blocks[at] = html(annotated(code)) else block.content[1] = html(annotated(code)) end
    end
  end
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
  { Inlines = equations },
  { Pandoc = number_all },
  { Cite = Cite, Span = Span, Link = Link, Image = Image, Header = Header, Para = Para, Div = Div, Figure = Figure,
    Table = Table, CodeBlock = CodeBlock, Blocks = Blocks, RawBlock = Raw, RawInline = Raw },
}
