// The text of a file as the house counts it: its comments, its strings and the titles of its tests, the names that it
// declares, the exports among them without a doc comment.

import ts from 'typescript-5'

/**
 * @typedef {object} Reading
 * @property {string[]} lines
 * @property {string[]} comments      with their slashes and stars
 * @property {number[]} longComments  lines of comments that are too long, counted from 1
 * @property {string[]} strings       of literals and templates, those that name modules left out
 * @property {string[]} titles        of tests
 * @property {string[]} names         declared here, once per declaration
 * @property {string[]} bare          exports without a doc comment
 * @property {string[]} bareMembers   members of exported interfaces and classes without one, as 'Type.member'
 * @property {{ name: string, isExported: boolean }[]} types  interfaces, type aliases, classes and enums
 * @property {number} asserted        non-null assertions
 */

/** @returns {Reading} */
export function readCode(file, text) {
  return file.endsWith('.wgsl') ? readWgsl(text) : readScript(file, text)
}

/** @returns {Reading} */
function readScript(file, text) {
  const source = ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true)
  const names = []
  const strings = []
  const titles = []
  let asserted = 0
  const ranges = new Map()
  const visit = (node) => {
    if (ts.isNonNullExpression(node)) asserted++
    if (isDeclared(node)) names.push(node.text)
    if (isText(node)) strings.push(node.text)
    if (isTest(node)) titles.push(...textsOf(node.arguments[0]))
    // Comments stand before tokens, and behind them on their line
    if (node.getChildCount(source) === 0) {
      const around = [
        ...(ts.getLeadingCommentRanges(text, node.getFullStart()) ?? []),
        ...(ts.getTrailingCommentRanges(text, node.getEnd()) ?? []),
      ]
      for (const range of around) ranges.set(range.pos, range.end)
    }
    for (const child of node.getChildren(source)) if (!ts.isJSDoc(child)) visit(child)
  }
  visit(source)
  const comments = [...ranges].sort(([a], [b]) => a - b)
  return {
    ...commented(text, comments),
    strings,
    titles,
    names,
    bare: bareExports(source),
    bareMembers: bareMembers(source),
    types: typesOf(source),
    asserted,
  }
}

/** A literal, or a piece of a template. */
function isText(node) {
  if (ts.isTemplateHead(node) || ts.isTemplateMiddle(node) || ts.isTemplateTail(node)) return true
  const { parent } = node
  return (
    ts.isStringLiteralLike(node) &&
    !ts.isImportDeclaration(parent) &&
    !ts.isExportDeclaration(parent) &&
    !ts.isExternalModuleReference(parent)
  )
}

/** Members of `test` and `describe` that take a title themselves. */
const TITLED = new Set(['only', 'skip', 'concurrent', 'sequential', 'fails'])

/** `test(title, …)`, `describe.each(…)(title, …)` and the like. */
function isTest(node) {
  if (!ts.isCallExpression(node) || node.arguments.length === 0) return false
  let callee = node.expression
  if (ts.isPropertyAccessExpression(callee) && !TITLED.has(callee.name.text)) return false // each, runIf: no title
  while (!ts.isIdentifier(callee)) {
    if (ts.isTaggedTemplateExpression(callee)) callee = callee.tag
    else if (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) callee = callee.expression
    else return false
  }
  return ['test', 'describe'].includes(callee.text)
}

function textsOf(title) {
  const texts = []
  const visit = (node) => {
    if (isText(node)) texts.push(node.text)
    ts.forEachChild(node, visit)
  }
  visit(title)
  return texts
}

function isDeclared(node) {
  if (!ts.isIdentifier(node)) return false
  const { parent } = node
  return (
    parent.name === node &&
    !ts.isPropertyAccessExpression(parent) &&
    !ts.isMetaProperty(parent) &&
    !ts.isImportSpecifier(parent) &&
    !ts.isExportSpecifier(parent)
  )
}

/** Names of exports without a doc comment. Of overloads, one that has it is enough. */
function bareExports(source) {
  const documented = new Map()
  for (const statement of source.statements) {
    if (!isExported(statement)) continue
    const has = (statement.jsDoc ?? []).length > 0
    const declared = ts.isVariableStatement(statement) ? statement.declarationList.declarations : [statement]
    for (const { name } of declared) {
      const text = name?.getText(source) ?? 'default'
      documented.set(text, has || documented.get(text) === true)
    }
  }
  return [...documented].filter(([, has]) => !has).map(([name]) => name)
}

const UNTOLD = [ts.SyntaxKind.PrivateKeyword, ts.SyntaxKind.ProtectedKeyword, ts.SyntaxKind.OverrideKeyword]

/**
 * Members that callers of an exported interface or class meet, without a doc comment. Of overloads, and of the two
 * accessors of a property, one that has it is enough.
 */
function bareMembers(source) {
  const documented = new Map()
  for (const type of source.statements) {
    if (!ts.isInterfaceDeclaration(type) && !ts.isClassDeclaration(type)) continue
    if (!isExported(type)) continue
    for (const member of type.members) {
      // What is overridden is explained where it was declared first
      const isElsewhere = member.modifiers?.some(({ kind }) => UNTOLD.includes(kind))
      if (!member.name || ts.isPrivateIdentifier(member.name) || isElsewhere) continue
      const name = `${type.name?.text ?? 'default'}.${member.name.getText(source)}`
      documented.set(name, (member.jsDoc ?? []).length > 0 || documented.get(name) === true)
    }
  }
  return [...documented].filter(([, has]) => !has).map(([name]) => name)
}

function isExported({ modifiers }) {
  return modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ?? false
}

/** The types that are declared here; those that are only passed on are not. */
function typesOf(source) {
  return source.statements
    .filter(
      (node) =>
        node.name &&
        (ts.isInterfaceDeclaration(node) ||
          ts.isTypeAliasDeclaration(node) ||
          ts.isClassDeclaration(node) ||
          ts.isEnumDeclaration(node)),
    )
    .map((node) => ({ name: node.name.text, isExported: isExported(node) }))
}

/** @returns {Reading} */
function readWgsl(text) {
  const comments = [...text.matchAll(/\/\/[^\n]*|\/\*[^]*?\*\//g)].map(({ index, 0: { length } }) => [
    index,
    index + length,
  ])
  const code = text.replaceAll(/\/\/[^\n]*|\/\*[^]*?\*\//g, '')
  const declared = /\b(?:fn|let|const|override|struct|alias|var(?:<[^>]*>)?)\s+(\w+)|\b(\w+)\s*:(?!:)/g
  const names = [...code.matchAll(declared)].map(([, a, b]) => a ?? b)
  return {
    ...commented(text, comments),
    strings: [],
    titles: [],
    names,
    bare: [],
    bareMembers: [],
    types: [],
    asserted: 0,
  }
}

const COLUMNS = 120

function commented(text, ranges) {
  const lines = text.split('\n')
  const starts = [0]
  for (const line of lines) starts.push(starts.at(-1) + line.length + 1)
  const lineOf = (at) => starts.findLastIndex((start) => start <= at)
  const long = new Set()
  for (const [begin, end] of ranges) {
    for (let line = lineOf(begin); line <= lineOf(end - 1); line++) {
      if (lines[line].length > COLUMNS) long.add(line + 1)
    }
  }
  return { lines, comments: ranges.map(([begin, end]) => text.slice(begin, end)), longComments: [...long] }
}

/** 'rowTotals_arm64' is row, totals, arm64. */
export function wordsOf(name) {
  return name
    .replaceAll(/([a-z\d])([A-Z])/g, '$1 $2')
    .replaceAll(/([A-Z])([A-Z][a-z])/g, '$1 $2')
    .split(/[^A-Za-z\d]+/)
    .map((word) => word.toLowerCase())
}
