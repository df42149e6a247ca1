// The facts that the host needs of a kernel, read from its text: its bindings, and the layout of its sizes.
//
// This is no parser. A body is valid WGSL in the few forms that the engine takes, and whatever else is found is named.
// A mistake is a `Complaint` here; kernel.ts knows whose it is.

/** A variable that a body binds in @group(0). */
export interface Binding {
  /** The variable's name in the text. */
  readonly name: string
  /** The number in @binding. */
  readonly index: number
  /** How the kernel binds it: as a storage buffer, as the uniform `sizes`, or as a read-only storage texture. */
  readonly access: 'read' | 'read_write' | 'uniform' | 'texture'
  /** Its type in WGSL, as written. */
  readonly type: string
}

/** A field of the `Sizes` struct. */
export interface SizeField {
  /** The field's name, by which dispatches give its value. */
  readonly name: string
  /** Each takes 4 bytes, without gaps. */
  readonly type: 'u32' | 'i32' | 'f32'
}

/** Something about the text that a person has to change. */
export class Complaint extends Error {}

/** Sizes structs stay within what immediates will offer. */
const MAX_SIZES_BYTES = 64

/**
 * The text with spaces for its comments, so that everything else stays where it is.
 *
 * @param stays  whether a comment is left as it is; none is by default
 */
export function withoutComments(text: string, stays?: (comment: string) => boolean): string {
  const begin = /\/[/*]/g
  let result = ''
  let at = 0
  for (let match = begin.exec(text); match; match = begin.exec(text)) {
    const end = match[0] === '//' ? lineEnd(text, match.index) : blockEnd(text, match.index)
    const comment = text.slice(match.index, end)
    result += text.slice(at, match.index) + (stays?.(comment) ? comment : blank(comment))
    at = end
    begin.lastIndex = end
  }
  return result + text.slice(at)
}

function lineEnd(text: string, from: number): number {
  const length = text.slice(from).search(/[\n\v\f\r\u0085\u2028\u2029]/)
  return length < 0 ? text.length : from + length
}

/** Block comments nest in WGSL. */
function blockEnd(text: string, from: number): number {
  let depth = 0
  for (const { 0: mark, index } of text.slice(from).matchAll(/\/\*|\*\//g)) {
    depth += mark === '/*' ? 1 : -1
    if (depth === 0) return from + index + mark.length
  }
  return text.length
}

function blank(text: string): string {
  return text.replace(/[^\n]/g, ' ')
}

/**
 * `enable`, `requires` and `diagnostic` must come first in a module, also before our prelude: taken out, line by line.
 */
export function splitDirectives(body: string): { directives: string; rest: string } {
  const match = /^(?:\s*(?:enable|requires|diagnostic)\b[^;]*;)+/.exec(withoutComments(body))
  if (!match) return { directives: '', rest: body }
  const directives = match[0].trim().replaceAll(/\s+/g, ' ')
  return { directives, rest: blank(match[0]) + body.slice(match[0].length) }
}

/** `@group(0) @binding(1) var<storage, read> x : type`, with the attributes in any order. */
const VARIABLE =
  /((?:@(?:group|binding)\s*\([^)]*\)\s*)+)var\s*(?:<\s*(\w+)\s*(?:,\s*(\w+)\s*)?,?\s*>)?\s*(\w+)\s*:\s*([\w<>,\s]+)/g

/** @throws Complaint */
export function parseBindings(text: string): Binding[] {
  const bindings = [...text.matchAll(VARIABLE)].map(
    ([, attributes = '', space, access, name = '', type = '']) => {
      if (attributeOf(attributes, 'group', name) !== 0) {
        throw new Complaint(`'${name}' is in another group than @group(0), the only one there is.`)
      }
      const index = attributeOf(attributes, 'binding', name)
      return { name, index, access: accessOf(name, space, access, type.trim()), type: type.trim() }
    },
  )
  const attributes = text.match(/@binding\b/g)?.length ?? 0
  if (attributes !== bindings.length) {
    throw new Complaint(
      `${attributes - bindings.length} of its ${attributes} bindings can't be read. Write each as ` +
        '`@group(0) @binding(1) var<storage, read> x: array<f32>;`.',
    )
  }
  if (!bindings.some(({ access }) => access === 'read_write')) {
    throw new Complaint('it declares no binding that it writes: `var<storage, read_write>`.')
  }
  for (const key of ['name', 'index'] as const) {
    const values = bindings.map((binding) => binding[key])
    const twice = values.find((value, i) => values.indexOf(value) < i)
    if (twice !== undefined) throw new Complaint(`two of its bindings have the ${key} ${twice}.`)
  }
  return bindings
}

function attributeOf(attributes: string, attribute: string, name: string): number {
  const [, number] = new RegExp(`@${attribute}\\s*\\(\\s*(\\d+)[iu]?\\s*,?\\s*\\)`).exec(attributes) ?? []
  if (number === undefined) throw new Complaint(`'${name}' has no @${attribute} with a plain number.`)
  return Number(number)
}

function accessOf(
  name: string,
  space: string | undefined,
  access: string | undefined,
  type: string,
): Binding['access'] {
  if (space === 'uniform') {
    if (type === 'Sizes') return 'uniform'
    throw new Complaint(
      `the uniform '${name}' is ${type}: there is one uniform, the \`Sizes\` of the dispatch. Put numbers there, arrays in buffers.`,
    )
  }
  if (space === undefined && type.startsWith('texture_storage_2d')) return 'texture'
  if (space === 'storage' && (access === undefined || access === 'read')) return 'read'
  if (space === 'storage' && access === 'read_write') return 'read_write'
  throw new Complaint(
    `'${name}' is var${space ? `<${space}${access ? `, ${access}` : ''}>` : ''} of ${type}: kernels bind storage buffers, ` +
      'as read or read_write, and the uniform Sizes.',
  )
}

/** @throws Complaint */
export function parseSizes(text: string, bindings: readonly Binding[]): SizeField[] {
  const [, struct] = /\bstruct\s+Sizes\s*\{([^}]*)\}/.exec(text) ?? []
  const isBound = bindings.some(({ access }) => access === 'uniform')
  if (isBound !== (struct !== undefined)) {
    throw new Complaint(
      isBound
        ? 'it binds a uniform, but has no `struct Sizes` with what is in it.'
        : 'it has a `struct Sizes`, but no `var<uniform> sizes: Sizes` that binds it.',
    )
  }
  if (struct === undefined) return []
  const fields = struct.split(',').filter((field) => field.trim() !== '')
  const sizes = fields.map((field): SizeField => {
    const [, name, type] = /^\s*(\w+)\s*:\s*([^]+?)\s*$/.exec(field) ?? []
    if (name === undefined) {
      throw new Complaint(
        `Sizes has \`${field.trim()}\`; only fields without attributes are allowed, \`name: u32\`.`,
      )
    }
    if (type !== 'u32' && type !== 'i32' && type !== 'f32') {
      throw new Complaint(`Sizes.${name} is ${type}; only u32, i32 and f32 are allowed.`)
    }
    return { name, type }
  })
  if (sizes.length * 4 > MAX_SIZES_BYTES) {
    throw new Complaint(`Sizes has ${sizes.length} fields, at most ${MAX_SIZES_BYTES / 4} fit.`)
  }
  return sizes
}

/** The element type of an array of floats: 'f32' of `array<vec4f>`. `aliases` are the prelude's types. */
export function floatsOf(
  type: string,
  aliases: Readonly<Record<string, unknown>>,
): 'f32' | 'f16' | undefined {
  const [, element = ''] = /^array\s*<\s*(.+?)\s*(?:,[^<>]*)?>$/.exec(type) ?? []
  const named = aliases[element]
  const concrete = typeof named === 'string' ? named : element
  const [, wide, short] = /^(?:vec[234]\s*<\s*)?(?:(f32|f16)(?:\s*>)?|vec[234]([fh]))$/.exec(concrete) ?? []
  if (short !== undefined) return short === 'f' ? 'f32' : 'f16'
  return wide as 'f32' | 'f16' | undefined
}
