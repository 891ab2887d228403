-- After the references are resolved: what filter.lua wrote for a web page becomes what Jupyter shows.

local address

local function Meta(meta) address = meta.address and pandoc.utils.stringify(meta.address) end
local function has(element, class) return element.classes:includes(class) end
local function strong(content) return pandoc.Para { pandoc.Strong(content) } end

-- The caption stands between tags.
local function float(div)
  local blocks, caption = pandoc.List(), false
  for _, block in ipairs(div.content) do
    local tag = block.t == "RawBlock" and block.text:match "^</?fig.*>$"
    if tag then
      caption = tag == "<figcaption>"
    else
      blocks:insert(caption and pandoc.Para { pandoc.Emph(block.content) } or block)
    end
  end
  return blocks
end

local function callout(div)
  local blocks = pandoc.List()
  for _, block in ipairs(div.content) do
    if block.classes and has(block, "callout-title-container") then
      blocks:insert(strong(pandoc.utils.blocks_to_inlines(block.content)))
    elseif block.t == "Plain" and block.content[1].t == "Span" and has(block.content[1], "callout-title-container") then
      blocks:insert(strong(block.content[1].content))
    elseif not (block.t == "RawBlock" and block.text:match "^</?details" or block.text == "</summary>") then
      blocks:insert(block)
    end
  end
  -- A cell within it ends the quotation; then there is none.
  local cell = blocks:find_if(function(block) return block.t == "RawBlock" and block.text:match "^<!%-%-qmdsite" end)
  return cell and blocks or pandoc.BlockQuote(blocks)
end

local function tabset(div)
  local blocks, titles = pandoc.List(), pandoc.List()
  for _, block in ipairs(div.content) do
    if block.t == "Plain" then
      titles:insert(block.content)
    elseif block.t == "Div" then
      blocks:insert(strong(titles:remove(1)))
      blocks:extend(block.content)
    end
  end
  return blocks
end

local function Div(div)
  if has(div, "callout") then return callout(div) end
  if has(div, "panel-tabset") then return tabset(div) end
  if has(div, "quarto-float") then return float(div) end
  -- What contains these asks for them.
  if not (has(div, "callout-title-container") or has(div, "tab-pane")) then return div.content end
end

local function Span(span)
  if has(span, "equation") then
    local math, mark = span.content[1], span.content[2]
    if mark then math.text = math.text:gsub("%s+$", "") .. " \\tag{" .. pandoc.utils.stringify(mark):sub(2, -2) .. "}" end
    return math
  end
  -- What differs from one run to the next is marked here too; a title is asked for by what contains it.
  if has(span, "timing") or has(span, "address") or has(span, "callout-title-container") then return end
  return has(span, "theorem-title") and pandoc.Strong(span.content) or span.content
end

-- A notebook lies anywhere: its links name the whole address, or there is none.
local function Link(link)
  local target = link.target
  if target:match "^%a[%w+.-]*:" then return pandoc.Link(link.content, target, link.title) end
  if not address or has(link, "quarto-xref") or target:match "^#ref%-" then return link.content end
  target = (target:sub(1, 1) == "#" and address or address:gsub("[^/]*$", "")) .. target
  local count
  repeat target, count = target:gsub("/[^/]+/%.%./", "/", 1) until count == 0
  return pandoc.Link(link.content, target, link.title)
end

-- The images of the project come along.
local function Image(image)
  local alt, src = image.attributes.alt, image.src
  if not src:match "^%a[%w+.-]*:" then
    src = "attachment:" .. src:gsub("[?#].*$", ""):gsub("[()]", { ["("] = "%28", [")"] = "%29" })
  end
  return pandoc.Image(alt and { pandoc.Str(alt) } or image.caption, src)
end

local function Note(note)
  local inlines = pandoc.List { pandoc.Str " (" } .. pandoc.utils.blocks_to_inlines(note.content)
  return inlines .. { pandoc.Str ")" }
end

-- Jupyter's tables have one line a cell, and a '|' ends it even in code and in mathematics: others become HTML.
local function Table(tab)
  local fits = true
  local function part(code)
    if code.text:match "|" then fits = false end
  end
  tab = tab:walk {
    SoftBreak = pandoc.Space, LineBreak = function() fits = false end, Code = part, Math = part,
    Blocks = function(blocks)
      if #blocks > 1 or blocks[1] and blocks[1].t ~= "Plain" and blocks[1].t ~= "Para" then fits = false end
    end,
  }
  if fits then return tab end
  tab = tab:walk { Math = function(math) return pandoc.Str("$" .. math.text .. "$") end }
  return pandoc.RawBlock("html", pandoc.write(pandoc.Pandoc { tab }, "html"))
end

local function Str(str) return str.text == "" and {} or nil end
local function CodeBlock(code) return pandoc.CodeBlock(code.text, { class = code.classes[1] }) end
local function Header(header) return pandoc.Header(math.max(header.level, 2), header.content) end

return {
  { Meta = Meta, Span = Span, Str = Str },
  { Link = Link, Image = Image, Note = Note, CodeBlock = CodeBlock, Header = Header, Table = Table, Div = Div },
}
