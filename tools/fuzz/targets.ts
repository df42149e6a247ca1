// The formats that are fuzzed: per format, files to begin with, how they are changed, and what reads them.

import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { describe } from '../../src/check.ts'
import { damagedData, Fault } from '../../src/datasets/faults.ts'
import { listJsonLines } from '../../src/datasets/json-lines.ts'
import { plainPickle } from '../../src/datasets/plain-pickle.ts'
import { FlowSegError } from '../../src/errors.ts'
import { openFolder, readJson } from '../../src/io/folder.ts'
import { decodeImage } from '../../src/io/image/image.ts'
import { withManifest } from '../../src/io/manifest.ts'
import { openCheckpoint } from '../../src/io/open-checkpoint.ts'
import { openSafetensors, toFloat32, writeSafetensors } from '../../src/io/safetensors.ts'
import { Sha256 } from '../../src/io/sha256.ts'
import { bytesSource } from '../../src/io/source.ts'
import { loadTokenizer } from '../../src/io/text/tokenizer.ts'
import { parseConfig } from '../../src/model/checkpoint/config.ts'
import { fitOf } from '../../src/model/checkpoint/fit.ts'
import { parameters } from '../../src/model/checkpoint/parameters.ts'
import { join, mutateBytes } from './bytes.ts'
import type formats from './formats.json'
import { mutateJpeg, mutatePng, mutateWebp } from './images.ts'
import { disguised, mutateJson } from './json.ts'
import { MASK_TEXTS, readMasks } from './masks.ts'
import type { Random } from './random.ts'
import { entriesOf, mutateTorch } from './torch.ts'

export interface Target {
  make(random: Random, number: number): Uint8Array
  /** Does with the bytes what the library does. Throws what it throws. */
  run(bytes: Uint8Array<ArrayBuffer>, random: Random): Promise<void>
}

const utf8 = new TextEncoder()
const root = process.cwd()
const read = (...parts: string[]): Uint8Array => new Uint8Array(readFileSync(path(root, ...parts)))
const text = (...parts: string[]): string => readFileSync(path(root, ...parts), 'utf8')

// ---- JSON

/** Half by their grammar, half as bytes, some as something else. */
function mutateText(random: Random, texts: readonly string[]): Uint8Array {
  const chosen = random.of(texts)
  if (random.chance(0.03)) return disguised(random, chosen)
  const json = random.chance(0.7) ? mutateJson(random, chosen) : undefined
  return json === undefined
    ? mutateBytes(
        random,
        utf8.encode(chosen),
        texts.map((other) => utf8.encode(other)),
      )
    : utf8.encode(json)
}

const configs = [
  text('weights/flowseg-nano/config.json'),
  text('weights/configs/flowseg-qwen3-4b.json'),
  text('weights/configs/flowseg-phi3.json'),
]

const config: Target = {
  make: (random) => mutateText(random, configs),
  async run(bytes) {
    const folder = openFolder([new File([bytes], 'config.json')])
    parameters(parseConfig(await readJson(folder, 'config.json'), 'config.json'))
  },
}

const tokenizerText = text('test/fixtures/io/tokenizer.json')
const tokenizerConfig = text('weights/flowseg-nano/tokenizer_config.json')
/** The words of the file, and <SEG>, <p>, </p>. */
const VOCAB = 403

/** The steps alone: most of the file is vocabulary. */
function mutateSteps(random: Random): Uint8Array {
  const file = JSON.parse(tokenizerText) as Record<string, unknown>
  const stage = random.of(['normalizer', 'pre_tokenizer', 'decoder', 'added_tokens', 'post_processor'])
  const steps = JSON.stringify(random.chance(0.5) ? file[stage] : random.of(STEPS))
  const changed = random.chance(0.2) ? steps : (mutateJson(random, steps) ?? steps)
  const place = JSON.stringify('here')
  return utf8.encode(JSON.stringify({ ...file, [stage]: 'here' }).replace(place, () => changed))
}

const PATTERNS = [
  '(a+)+$',
  'a*a*b',
  '.',
  ' ',
  String.raw`\p{L}+`,
  String.raw`\s+(?!\S)`,
  '(?:ab|a)*',
  'a{2,3}{4}',
  '(?i:x)+',
]
const STEPS: readonly unknown[] = [
  ...PATTERNS.map((Regex) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })),
  ...PATTERNS.map((Regex) => ({ type: 'Replace', pattern: { Regex }, content: 'ab' })),
  {
    type: 'Sequence',
    normalizers: Array.from({ length: 20 }, () => ({
      type: 'Replace',
      pattern: { String: 'a' },
      content: 'aa',
    })),
  },
  {
    type: 'Sequence',
    pretokenizers: [
      { type: 'Metaspace', replacement: '_' },
      { type: 'Digits', individual_digits: true },
    ],
  },
  {
    type: 'Sequence',
    decoders: [
      { type: 'ByteFallback' },
      { type: 'Strip', content: ' ', start: 1, stop: 0 },
      { type: 'Fuse' },
    ],
  },
  { type: 'FixedLength', length: 3 },
  { type: 'BertNormalizer', clean_text: true, handle_chinese_chars: true, lowercase: true },
  { type: 'Prepend', prepend: '_' },
]
const SENTENCES = [
  'the dog <SEG> on\n  it',
  'a'.repeat(8000),
  `${' '.repeat(4000)}x`,
  'ab'.repeat(2000),
  '\u00e9\u65e5\u{1f600}'.repeat(300),
]

const tokenizer: Target = {
  make: (random) => (random.chance(0.6) ? mutateSteps(random) : mutateText(random, [tokenizerText])),
  async run(bytes, random) {
    const tokenizer = await openFolder([new File([bytes], 'tokenizer.json')]).readText('tokenizer.json')
    const settings = random.chance(0.2)
      ? new TextDecoder().decode(mutateText(random, [tokenizerConfig]))
      : tokenizerConfig
    const loaded = await loadTokenizer(tokenizer, settings, VOCAB)
    for (const sentence of SENTENCES) loaded.decode(loaded.encode(sentence).slice(0, 200))
    loaded.idOf('<SEG>')
  },
}

// ---- Weights

const tensors = [
  { name: 'llm.model.embed_tokens.weight', dtype: 'F32', shape: [4, 2], bytes: new Uint8Array(32).fill(1) },
  { name: 'a.0.w', dtype: 'F16', shape: [3], bytes: new Uint8Array(6) },
  { name: 'a.1.w', dtype: 'BF16', shape: [2, 1], bytes: new Uint8Array(4) },
  { name: 'empty', dtype: 'I64', shape: [0, 5], bytes: new Uint8Array(0) },
  { name: 'scalar', dtype: 'F64', shape: [], bytes: new Uint8Array(8) },
] as const
const files = [
  writeSafetensors(tensors, { format: 'pt', 'flowseg.crc32': '{"a.0.w":"b1c2a1a3"}' }),
  writeSafetensors(tensors),
  read('test/fixtures/io/python.safetensors'),
]
const nano = parseConfig(JSON.parse(configs[0]!), 'config.json')

async function readAll(from: Parameters<typeof openSafetensors>[0], open = openSafetensors): Promise<void> {
  const checkpoint = await open(from)
  fitOf(checkpoint, nano)
  checkpoint.willRead?.([...checkpoint.tensors.keys()])
  for (const { name, dtype } of checkpoint.tensors.values()) {
    const bytes = await checkpoint.read(name)
    if (['F16', 'BF16', 'F32', 'F64'].includes(dtype)) toFloat32(bytes, dtype)
    for await (const _ of checkpoint.slices(name, Math.max(16, bytes.length / 8))) continue
  }
  await checkpoint.verify?.()
  await checkpoint.close()
}

const safetensors: Target = {
  make(random) {
    const file = random.of(files)
    if (random.chance(0.4)) return mutateBytes(random, file, files)
    const size = new DataView(file.buffer, file.byteOffset).getUint32(0, true)
    const header = utf8.encode(mutateJson(random, new TextDecoder().decode(file.subarray(8, 8 + size))))
    const length = new Uint8Array(8)
    const claimed = random.chance(0.05) ? random.of([0n, 2n ** 63n, 99_999_999n]) : BigInt(header.length)
    new DataView(length.buffer).setBigUint64(0, claimed, true)
    return join(length, header, file.subarray(8 + size))
  },
  run: (bytes) => readAll(bytesSource(bytes, 'x.safetensors')),
}

const shard = (name: string): Uint8Array<ArrayBuffer> =>
  writeSafetensors([{ name, dtype: 'U8', shape: [1], bytes: Uint8Array.of(1) }])
const shards = { 'm-1.safetensors': shard('a'), 'm-2.safetensors': shard('b') }
const indexText = JSON.stringify({
  metadata: { total_size: 2 },
  weight_map: { a: 'm-1.safetensors', b: 'm-2.safetensors' },
})

const index: Target = {
  make: (random) => mutateText(random, [indexText]),
  run: (bytes) =>
    readAll(
      openFolder([
        new File([bytes], 'model.safetensors.index.json'),
        ...Object.entries(shards).map(([name, content]) => new File([content], name)),
      ]),
    ),
}

const facts = (bytes: Uint8Array) => ({ sha256: new Sha256().update(bytes).digest(), size: bytes.length })
const single = shard('a')
const manifestText = JSON.stringify({
  files: { 'config.json': facts(utf8.encode('{}')), 'model.safetensors': facts(single) },
})

const manifest: Target = {
  make: (random) => mutateText(random, [manifestText, text('weights/flowseg-nano/manifest.json')]),
  async run(bytes) {
    const folder = await withManifest(
      openFolder([
        new File([bytes], 'manifest.json'),
        new File(['{}'], 'config.json'),
        new File([single], 'model.safetensors'),
      ]),
    )
    await folder.readText('config.json')
    await readAll(folder)
  },
}

const torchFolder = 'test/fixtures/io/torch'
const torchFiles = readdirSync(path(root, torchFolder), { recursive: true, encoding: 'utf8' })
  .filter((name) => /\.(bin|pth|pt)$/.test(name))
  .map((name) => read(torchFolder, name))
const archives = (await Promise.allSettled(torchFiles.map(entriesOf))).flatMap((result) =>
  result.status === 'fulfilled' ? [result.value] : [],
)
const pickles = archives.flatMap((entries) =>
  entries.flatMap(({ name, data }) =>
    name.endsWith('data.pkl') && data instanceof Uint8Array ? [data] : [],
  ),
)

const torch: Target = {
  make: (random) =>
    random.chance(0.4)
      ? mutateBytes(random, random.of(torchFiles), torchFiles)
      : mutateTorch(random, random.of(archives), pickles),
  run: (bytes) => readAll(bytesSource(bytes, 'x.bin'), openCheckpoint),
}

// ---- Data sets

/** [{ref_id, ..., sentences: [{sent_id, sent, tokens}]}], as Python's pickle writes it by its protocols 0, 2 and 4. */
const refPickles = [
  'KGxwMAooZHAxClZyZWZfaWQKcDIKSTEKc1Zhbm5faWQKcDMKSTcwMDAwCnNWaW1hZ2VfaWQKcDQKSTUKc1ZzcGxpdApwNQpWdmFsCnA2CnNWc2NvcmUKcDcKRjAuNQpzVmJveApwOAooSTEKTDEwOTk1MTE2Mjc3NzZMCkktMwp0cDkKc1ZvawpwMTAKSTAxCnNWc2VudGVuY2VzCnAxMQoobHAxMgooZHAxMwpWc2VudF9pZApwMTQKSTEwCnNWc2VudApwMTUKVmxlZnQgbXVnIOkKcDE2CnNWdG9rZW5zCnAxNwoobHAxOApWbGVmdApwMTkKYVZtdWcKcDIwCmFzYXNhLg==',
  'gAJdcQB9cQEoWAYAAAByZWZfaWRxAksBWAYAAABhbm5faWRxA0pwEQEAWAgAAABpbWFnZV9pZHEESwVYBQAAAHNwbGl0cQVYAwAAAHZhbHEGWAUAAABzY29yZXEHRz/gAAAAAAAAWAMAAABib3hxCEsBigYAAAAAAAFK/f///4dxCVgCAAAAb2txCohYCQAAAHNlbnRlbmNlc3ELXXEMfXENKFgHAAAAc2VudF9pZHEOSwpYBAAAAHNlbnRxD1gLAAAAbGVmdCBtdWcgw6lxEFgGAAAAdG9rZW5zcRFdcRIoWAQAAABsZWZ0cRNYAwAAAG11Z3EUZXVhdWEu',
  'gASVuAAAAAAAAABdlH2UKIwGcmVmX2lklEsBjAZhbm5faWSUSnARAQCMCGltYWdlX2lklEsFjAVzcGxpdJSMA3ZhbJSMBXNjb3JllEc/4AAAAAAAAIwDYm94lEsBigYAAAAAAAFK/f///4eUjAJva5SIjAlzZW50ZW5jZXOUXZR9lCiMB3NlbnRfaWSUSwqMBHNlbnSUjAtsZWZ0IG11ZyDDqZSMBnRva2Vuc5RdlCiMBGxlZnSUjANtdWeUZXVhdWEu',
].map((base64) => new Uint8Array(Buffer.from(base64, 'base64')))

const refs: Target = {
  make: (random) => mutateBytes(random, random.of(refPickles), refPickles),
  async run(bytes) {
    const value = await plainPickle(bytes, (fault) => damagedData('refs.p', fault))
    if (Array.isArray(value)) for (const one of value as unknown[]) describe(one)
  },
}

const lineTexts = [
  '{"image": "1.png", "sentence": "it", "mask": {"size": [3, 4], "counts": [3, 3, 6]}, "kind": "own"}',
  '{"image": "1.png", "sentence": "it", "mask": {"size": [3, 4], "counts": "336"}, "ignore": "1.png"}',
  '{"image": "in/2.png", "sentence": "both", "mask": [[0, 0, 4, 0, 4, 3.5], [1, 1, 2, 1, 2, 2]]}',
]

const lines: Target = {
  make: (random) => join(mutateText(random, lineTexts), utf8.encode('\n'), mutateText(random, lineTexts)),
  async run(bytes) {
    const folder = mkdtempSync(path(tmpdir(), 'flowseg-fuzz-'))
    const { signal } = new AbortController()
    try {
      writeFileSync(path(folder, 'x.jsonl'), bytes)
      const { pictures } = await listJsonLines(path(folder, 'x.jsonl'), 'x.jsonl', signal).catch(onOneLine)
      for (const { questions } of pictures) {
        for (const { truth } of questions) {
          await truth.sizes().catch(expectFault)
          await truth.read({ width: 4, height: 3 }, signal).catch(expectFault)
        }
      }
    } finally {
      rmSync(folder, { recursive: true })
    }
  },
}

/** Several faults are listed one per line; a line feed of the file's own stays, and is noticed. */
function onOneLine(error: unknown): never {
  if (!(error instanceof FlowSegError)) throw error
  throw new FlowSegError(error.code, error.message.replaceAll('\n  ', ' '), { cause: error })
}

/** Whoever has the place turns it into an error of the library. */
function expectFault(error: unknown): void {
  if (!(error instanceof Fault)) throw error
}

// ---- Images

/** 16 bytes per pixel at the most, and some more. */
const MAX_PIXELS = 4e6

function image(extension: string, mutate: typeof mutatePng): Target {
  const folder = 'test/fuzz/seeds'
  const seeds = readdirSync(path(root, folder))
    .filter((name) => name.endsWith(`.${extension}`))
    .map((name) => read(folder, name))
  return {
    make: (random) =>
      random.chance(0.5)
        ? mutate(random, random.of(seeds), seeds)
        : mutateBytes(random, random.of(seeds), seeds),
    async run(bytes) {
      await Promise.resolve(decodeImage(bytes, { name: `x.${extension}`, maxPixels: MAX_PIXELS }))
    },
  }
}

const masks: Target = {
  make: (random) => mutateText(random, MASK_TEXTS),
  run: (bytes) => Promise.resolve(readMasks(new TextDecoder().decode(bytes))),
}

/** Fails in all ways: whether the fuzzer notices. */
const broken: Target = {
  make: (_, number) => Uint8Array.of(number % 5),
  async run([kind]) {
    if (kind === 1) throw new TypeError('of no kind of ours')
    if (kind === 2) for (;;) continue
    if (kind === 3) new Uint8Array(700 * 2 ** 20).fill(1)
    if (kind === 4) process.kill(process.pid, 'SIGSEGV')
  },
}

export const TARGETS: Readonly<Record<string, Target>> = {
  safetensors,
  torch,
  index,
  config,
  tokenizer,
  manifest,
  jpeg: image('jpg', mutateJpeg),
  png: image('png', mutatePng),
  webp: image('webp', mutateWebp),
  masks,
  refs,
  lines,
  broken,
} satisfies Record<keyof typeof formats | 'broken', Target>
