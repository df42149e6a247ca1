// Opens files that strangers wrote (images, weights, JSON, tokenizers) in the runtime that runs this, and returns those
// whose outcome is not the expected one.

import { readFileSync } from 'node:fs'
import { deflateSync } from 'node:zlib'
import { FlowSegError } from '../../../src/errors.ts'
import { openFolder, readJson } from '../../../src/io/folder.ts'
import { crc32 } from '../../../src/io/image/crc32.ts'
import { decodeImage } from '../../../src/io/image/image.ts'
import { openSafetensors } from '../../../src/io/safetensors.ts'
import { loadTokenizer } from '../../../src/io/text/tokenizer.ts'

const at = (path: string) => new URL(`../../../${path}`, import.meta.url)
const joined = (...parts: Uint8Array[]) => new Uint8Array(Buffer.concat(parts))
const utf8 = (text: string) => new TextEncoder().encode(text)

function chunk(type: string, contents: Uint8Array = new Uint8Array(0)): Uint8Array {
  const body = joined(utf8(type), contents)
  const whole = new Uint8Array(body.length + 8)
  whole.set(body, 4)
  new DataView(whole.buffer).setUint32(0, contents.length)
  new DataView(whole.buffer).setUint32(body.length + 4, crc32(body))
  return whole
}

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const header = (colour: number) => chunk('IHDR', Uint8Array.of(0, 0, 0, 9, 0, 0, 0, 9, 8, colour, 0, 0, 0))
const ROWS = new Uint8Array(90)
const STREAM = new Uint8Array(deflateSync(ROWS))
const png = (data: Uint8Array[], colour = 0) => joined(SIGNATURE, header(colour), ...data, chunk('IEND'))
const pixels = (...streams: Uint8Array[]) => png([chunk('IDAT', joined(...streams))])

interface Fixture {
  readonly name?: string
  readonly file?: string
}
const fixtures: Fixture[] = JSON.parse(readFileSync(at('test/fixtures/io/images.json'), 'utf8'))
function fixture(name: string): Uint8Array {
  const { file } = fixtures.find((one) => one.name === name)!
  return new Uint8Array(Buffer.from(file!, 'base64'))
}
const baseline = fixture('4:2:0, quality 85, baseline')
const frame = baseline.findIndex((byte, i) => byte === 0xff && baseline[i + 1] === 0xc0)
const progressive = fixture('4:2:0, quality 85, progressive')
const webp = fixture('WebP, lossless')
const large = baseline.slice()
large.set([0x1f, 0x40, 0x1f, 0x40], frame + 5)

const GO_ON = /data go on after/
const END = /ImageError: .*(end before the last row|can't be decoded|cut short)/
const IMAGES: Readonly<Record<string, readonly [() => Uint8Array, RegExp]>> = {
  'PNG, whole': [() => pixels(STREAM), /^read$/],
  'PNG, a row less': [() => pixels(deflateSync(ROWS.subarray(10))), END],
  'PNG, a byte less': [() => pixels(deflateSync(ROWS.subarray(1))), END],
  'PNG, a row more': [() => pixels(deflateSync(new Uint8Array(100))), GO_ON],
  'PNG, 128 MB more': [() => pixels(deflateSync(new Uint8Array(2 ** 27), { level: 9 })), GO_ON],
  'PNG, a byte behind its stream': [() => pixels(STREAM, Uint8Array.of(0)), GO_ON],
  'PNG, another stream behind it': [() => pixels(STREAM, STREAM), GO_ON],
  'PNG, a chunk of bytes behind it': [
    () => png([chunk('IDAT', STREAM), chunk('IDAT', new Uint8Array(9))]),
    GO_ON,
  ],
  'PNG, without its checksum': [() => pixels(STREAM.subarray(0, -4)), END],
  'PNG, without a part of it': [() => pixels(STREAM.subarray(0, -1)), END],
  'PNG, a wrong one': [
    () => pixels(STREAM.map((byte, i) => (i === STREAM.length - 1 ? byte ^ 1 : byte))),
    END,
  ],
  'PNG, no pixels': [() => png([]), END],
  'PNG, empty pixels': [() => pixels(), END],
  'PNG, no stream': [() => pixels(utf8('not a stream')), END],
  'PNG, interrupted': [
    () =>
      png([
        chunk('IDAT', STREAM.subarray(0, 5)),
        chunk('tEXt', utf8('a\0b')),
        chunk('IDAT', STREAM.subarray(5)),
      ]),
    /another chunk stands among its pixel data/,
  ],
  'PNG, two headers': [() => png([header(2), chunk('IDAT', STREAM)]), /it has two headers/],
  'PNG, a late palette': [
    () => png([chunk('IDAT', STREAM), chunk('PLTE', Uint8Array.of(1, 2, 3))], 3),
    /its palette comes after its pixels/,
  ],
  'PNG, an odd palette': [
    () => png([chunk('PLTE', new Uint8Array(4)), chunk('IDAT', STREAM)], 3),
    /its palette has 4 bytes/,
  ],
  'PNG, a palette of 257': [
    () => png([chunk('PLTE', new Uint8Array(771)), chunk('IDAT', STREAM)], 3),
    /its palette has 771 bytes/,
  ],
  'PNG, a chunk that matters': [
    () => png([chunk('ABCD'), chunk('IDAT', STREAM)]),
    /its chunk ABCD is unknown/,
  ],
  'PNG, a chunk that does not': [() => png([chunk('aBCD'), chunk('IDAT', STREAM)]), /^read$/],
  'JPEG, whole': [() => baseline, /^read$/],
  'JPEG, cut short': [() => baseline.slice(0, -60), END],
  'JPEG, two frame headers': [
    () => joined(baseline.slice(0, frame), baseline.slice(frame, frame + 19), baseline.slice(frame)),
    /it has two frame headers/,
  ],
  'JPEG, 8000 x 8000': [() => large, /has at least \d+ bytes of data/],
  'JPEG, progressive, cut short': [() => progressive.slice(0, -100), END],
  'JPEG, no tables': [
    () => joined(baseline.slice(0, 2), baseline.slice(frame)),
    /ImageError: .*(Huffman table|can't be decoded)/,
  ],
  'WebP, whole': [() => webp, /^read$/],
  'WebP, cut short': [() => webp.slice(0, -20), END],
  'GIF, no frame': [() => utf8('GIF89a\x02\0\x02\0\0\0\0;'), END],
  'an AVIF of nothing': [() => utf8('\0\0\0\x14ftypavif\0\0\0\0avif'), /does not say how large it is/],
  'a page': [() => utf8('<!doctype html>'), /is a web page or an SVG/],
  nothing: [() => new Uint8Array(0), /is empty/],
}

/** A safetensors file. */
function weights(text: string, bytes = 0): Uint8Array {
  const size = new Uint8Array(8)
  new DataView(size.buffer).setBigUint64(0, BigInt(text.length), true)
  return joined(size, utf8(text), new Uint8Array(bytes))
}
const entry = (dtype: string, shape: string, offsets: string) =>
  `{"dtype":${dtype},"shape":${shape},"data_offsets":${offsets}}`
const many = (text: string, count: number) => `[${`${text},`.repeat(count)}${text}]`

const WEIGHTS: Readonly<Record<string, readonly [() => Uint8Array, RegExp]>> = {
  whole: [() => weights(`{"x":${entry('"F32"', '[1]', '[0,4]')}}`, 4), /^read$/],
  'two million objects': [() => weights(`{"x":${many('{}', 2e6)}}`), /its entry is not an object/],
  'two million numbers': [
    () => weights(`{"x":${entry('"F32"', many('1', 2e6), '[0,4]')}}`, 4),
    /at most 32 whole numbers/,
  ],
  'two million digits': [
    () => weights(`{"x":${entry('"F32"', `[${'1'.repeat(2e6)}]`, '[0,4]')}}`, 4),
    /whole numbers below 2\^53/,
  ],
  'a type of a megabyte': [
    () => weights(`{"x":${entry(`"${'F'.repeat(1e6)}"`, '[1]', '[0,4]')}}`, 4),
    /its dtype "F+\.\.\." is not one/,
  ],
  'a name of a megabyte': [() => weights(`{"${'x'.repeat(1e6)}":{}}`), /a key of more than 4096 bytes/],
  'a hundred thousand levels': [
    () => weights(`{"x":${'{"a":'.repeat(1e5)}1${'}'.repeat(1e5)}}`),
    /more than 32 levels/,
  ],
  'an overlap': [
    () => weights(`{"x":${entry('"F32"', '[1]', '[0,4]')},"y":${entry('"F32"', '[1]', '[2,6]')}}`, 6),
    /it overlaps the tensor before it/,
  ],
  'a size of 2^63': [
    () => Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x80, 0x7b, 0x7d),
    /claims 9223372036854775808/,
  ],
  'seven bytes': [() => new Uint8Array(7), /too few/],
}

const JSONS: Readonly<Record<string, readonly [string, RegExp]>> = {
  whole: ['{"a":[1]}', /^read$/],
  'a hundred thousand levels': ['['.repeat(1e5), /more than 32 levels/],
  'a hundred thousand lists': [many('[]', 1e5), /more than 10000 objects and lists/],
  'a key twice': ['{"a":1,"a":2}', /occurs twice/],
  'cut short': ['{"a":', /is not JSON/],
}

const split = (Regex: string) => ({
  pre_tokenizer: { type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false },
})
const replace = (Regex: string, content: string) => ({ type: 'Replace', pattern: { Regex }, content })
const REFUSED = /WeightsError: tokenizer.json can't be used/
const TOKENIZERS: Readonly<Record<string, readonly [object, RegExp]>> = {
  whole: [{}, /^read$/],
  'a pattern': [split(' ?[^ ]+'), /^read$/],
  '(a+)+$': [split('(a+)+$'), REFUSED],
  '(a|aa)+$': [split('(a|aa)+$'), REFUSED],
  '(.*)*x': [split('(.*)*x'), REFUSED],
  'a*a*a*a*$': [split('a*a*a*a*$'), REFUSED],
  '$& twice, twenty times': [
    { normalizer: { type: 'Sequence', normalizers: Array.from({ length: 20 }, () => replace('.', '$&$&')) } },
    REFUSED,
  ],
  'aa for a letter, twenty times': [
    { normalizer: { type: 'Sequence', normalizers: Array.from({ length: 20 }, () => replace('.', 'aa')) } },
    REFUSED,
  ],
  'no tokens': [{ model: { type: 'BPE', vocab: {}, merges: [] } }, /no vocabulary/],
}

async function outcome(read: () => Promise<unknown>): Promise<string> {
  try {
    await read()
    return 'read'
  } catch (error) {
    return error instanceof FlowSegError ? `${error.name}: ${error.message}` : `not typed: ${String(error)}`
  }
}

/** @returns by case what came of something else than is expected: nothing, if all is well */
export async function visitForeign(): Promise<Record<string, string>> {
  const surprises: Record<string, string> = {}
  const expectOutcome = async (
    name: string,
    expected: RegExp,
    read: () => Promise<unknown>,
  ): Promise<void> => {
    const result = await outcome(read)
    if (!expected.test(result)) surprises[name] = result
  }
  for (const [name, [make, expected]] of Object.entries(IMAGES)) {
    await expectOutcome(`image: ${name}`, expected, () => decodeImage(make()))
  }
  for (const [name, [make, expected]] of Object.entries(WEIGHTS)) {
    const file = new File([new Uint8Array(make())], 'model.safetensors')
    await expectOutcome(`weights: ${name}`, expected, () => openSafetensors(openFolder([file])))
  }
  for (const [name, [text, expected]] of Object.entries(JSONS)) {
    const folder = openFolder([new File([text], 'config.json')])
    await expectOutcome(`JSON: ${name}`, expected, () => readJson(folder, 'config.json'))
  }
  for (const [name, [steps, expected]] of Object.entries(TOKENIZERS)) {
    const json = JSON.stringify({ model: { type: 'BPE', vocab: { a: 0, b: 1 }, merges: [] }, ...steps })
    await expectOutcome(`tokenizer: ${name}`, expected, () => loadTokenizer(json, '{}', 5))
  }
  return surprises
}
