-- What only a web page has: marks in annotated code, anchors on headings, and how to cite the page.

local annotated = 0

-- A line of a block of code is so many behind the one that opens it.
local function wrong(code, line, text) problem(code.attributes["data-at"] or "", text, line) end

-- An annotation is a comment '# <1>' that ends a line: the line without it, and the number.
local function annotation(line) return line:match "^(.-)%s*#%s*<(%d+)>%s*$" end
-- What was printed, and what shows how pages are written, is no code with comments.
local PLAIN = { text = true, markdown = true, html = true }
local function is_annotated(block)
  return block.t == "CodeBlock" and not PLAIN[block.classes[1]] and (block.text .. "\n"):match "#%s*<%d+>%s*\n"
end

-- Code with a mark at each annotated line, which leads to its item of the list.
local function annotate(code, list)
  annotated = annotated + 1
  local id = code.identifier ~= "" and code.identifier or "annotated-cell-" .. annotated
  local lines, marks, marked, notes, before = {}, {}, {}, pandoc.List(), (code.attributes.startFrom or 1) - 1
  local function item(number) return id .. "-note-" .. number end
  for line in (code.text .. "\n"):gmatch "(.-)\n" do
    local text, number = annotation(line)
    table.insert(lines, text or line)
    marks[("%d"):format(#lines + before)], marked[tonumber(number) or 0] = number, true
    if number and not list.content[number - list.start + 1] then
      wrong(code, #lines, "the list below this code has no item " .. number)
    end
  end
  for i, blocks in ipairs(list.content) do
    local number = list.start + i - 1
    if not marked[number] then wrong(code, 1, "no line of this code is marked # <" .. number .. ">") end
    notes:insert { { pandoc.Span(tostring(number), { id = item(number) }) }, { blocks } }
  end
  code.text, code.identifier = table.concat(lines, "\n"), id
  local written = pandoc.write(pandoc.Pandoc { code }, "html")
  written = written:gsub('<a href="#' .. id:gsub("%p", "%%%0") .. '%-(%d+)"[^>]*></a>', function(line)
    local number = marks[line]
    marks[line] = nil
    return number and ('<a class="code-annotation" href="#%s">%s</a>'):format(item(number), number)
  end)
  if next(marks) then wrong(code, 1, "annotated code needs a language that is known, such as python") end
  return pandoc.Div({ pandoc.RawBlock("html", written), pandoc.DefinitionList(notes) }, { class = "annotated" })
end

-- The list stands below the code, or below the whole cell and comes to stand above its outputs.
local function Blocks(blocks)
  for i, block in ipairs(blocks) do
    local list = blocks[i + 1]
    local within = block.t == "Div" and (block.classes:includes "cell" or block.classes:includes "code-with-filename")
    local parts = within and block.content or pandoc.List { block }
    local code, at = parts:find_if(is_annotated)
    if code and list and list.t == "OrderedList" then
      parts[at] = annotate(code, list)
      if within then block.content = parts end
      blocks[i] = within and block or parts[1]
      blocks:remove(i + 1)
    end
  end
  return blocks
end

local ESCAPED = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

local function CodeBlock(code)
  local count = 0
  for line in (code.text .. "\n"):gmatch "(.-)\n" do
    count = count + 1
    if is_annotated(code) and annotation(line) then
      wrong(code, count, "this line is annotated, and below its code there is no numbered list that says what about it")
    elseif line:match "/%*%s*<%d+>%s*%*/%s*$" or line:match "<!%-%-%s*<%d+>%s*%-%->%s*$"
      or not PLAIN[code.classes[1]] and line:match "%S%s*[/%-%%;]+%s*<%d+>%s*$" then
      wrong(code, count, "an annotation is a comment that starts with #, such as # <1>")
    end
  end
  -- Pandoc, which knows no language of this name, would load all that it knows: a third of a second for each page.
  if code.identifier == "" and #code.classes == 1 and code.classes[1] == "text" then
    return pandoc.RawBlock("html", '<pre class="text"><code>' .. code.text:gsub("[&<>\"']", ESCAPED) .. "</code></pre>")
  end
end

-- The list of references that citeproc adds is an appendix: no part of the contents.
local function Header(header)
  if header.identifier == "bibliography" and header.level == 1 then
    header.level, header.identifier = 2, "quarto-bibliography"
    header.classes:insert "unlisted"
  elseif header.identifier ~= "" and header.level > 1 and header.level < 5 then
    local about = { class = "anchor", ["aria-label"] = "Link to this section" }
    header.content:insert(pandoc.Link({}, "#" .. header.identifier, "", about))
  end
  return header
end

-- The page's own entry, as BibTeX and in words.
local function Meta(meta)
  if not meta.citation then return end
  local all = pandoc.Cite({}, { pandoc.Citation("*", "NormalCitation") })
  local own = pandoc.Pandoc({}, { references = { meta.citation }, nocite = { all }, csl = meta.csl, lang = meta.lang })
  local bibtex = pandoc.write(own, "biblatex"):gsub("%s+$", "")
  local function label(words) return pandoc.Div(pandoc.Plain(words), { class = "quarto-appendix-secondary-label" }) end
  local entry = pandoc.utils.citeproc(own).blocks[1].content[1]
  meta.citation = {
    label "BibTeX citation:",
    pandoc.CodeBlock(bibtex, { class = "bibtex" }),
    label "For attribution, please cite this work as:",
    -- An entry is written as the item of a list.
    pandoc.Div({ pandoc.Div(entry.content, pandoc.Attr(entry.identifier, { "csl-entry" })) }, { role = "list" }),
  }
  return meta
end

return {
  { traverse = "topdown", Blocks = Blocks, CodeBlock = CodeBlock, Header = Header },
  { Meta = Meta },
}
