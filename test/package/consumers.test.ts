// The packed tarball, installed into empty projects, works: in Node, Deno, a Vite app, and pages without a bundler
// under a strict content security policy, worker included; and its types are complete.

import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { build } from 'vite'
import { expect, test } from 'vitest'
import { bunProgram } from '../bun/program.ts'
import { execute, project, ROOT, serve, visit, writeFiles } from './consumer.ts'

/** An op of the consumer's own and one of the engine's, in one plan: [1, 4, 9] / 14. */
const ENGINE = `
import { kernel, mul, openGpu, plan, record, sumLast, tensor } from 'flowseg/engine'

const SQUARE = \`
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
@compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
  if (id.x < arrayLength(&x)) { y[id.x] = x[id.x] * x[id.x]; }
}\`

export async function compute() {
  const square = (x) => {
    const y = tensor(x.shape)
    record({ kernel: kernel('square', SQUARE), reads: { x }, writes: { y }, sizes: {}, workgroups: 1, flops: x.size })
    return y
  }
  const gpu = await openGpu()
  const made = await plan(gpu, 'squares', ({ input }) => {
    const y = square(input('x', [1, 3]))
    return { read: { y, sum: sumLast(y) } }
  })
  const { y, sum } = (await made.run({ inputs: { x: new Float32Array([1, 2, 3]) } })).read
  gpu.close()
  return 'engine ' + Array.from(y) + ' of ' + sum[0]
}
`
const ENGINE_SAYS = 'engine 1,4,9 of 14'

/** The model on the sample: what it says is compared between runtimes. */
const MODEL = `
import { FlowSeg } from 'flowseg'

export async function segment(image) {
  const model = await FlowSeg.load()
  const scene = await model.look(image)
  const { mask, score, query } = await scene.segment('the dotted shape')
  scene.close()
  model.close()
  return 'query ' + query + ', score ' + score.toFixed(3) + ', ' + Math.round(mask.area / 20) * 20 + ' pixels'
}
`
const MODEL_SAYS = /^query \d+, score 0\.\d{3}, \d+ pixels$/
/** The answer in Node, for the others to be compared with. */
let answerOfNode = ''

const HOST = `
import { readFile } from 'node:fs/promises'
import { compute } from './engine.js'
import { segment } from './model.js'

console.log(await compute())
console.log(await segment(await readFile(new URL(import.meta.resolve('flowseg/examples/scene.png')))))
console.log((await readFile(new URL(import.meta.resolve('flowseg/weights/flowseg-nano/config.json')))).length)
`

/** In a page; the weights and the image come from the server. */
const PAGE = `
import { openGpu } from 'flowseg/engine'
import { compute } from './engine.js'
import { segment } from './model.js'

try {
  const said = [await compute()]
  const image = new Uint8Array(await (await fetch('/package/examples/scene.png')).arrayBuffer())
  said.push(await segment(image))
  said.push(await openGpu({ adapter: 'Voodoo 2' }).catch((error) => error.name))
  if (new URLSearchParams(location.search).has('worker')) {
    const worker = new Worker('./worker.js', { type: 'module' })
    said.push(await new Promise((done, fail) => {
      worker.onmessage = ({ data }) => done('worker: ' + data)
      worker.onerror = (event) => fail(new Error('worker: ' + event.message))
    }))
  }
  document.body.innerText = said.join('\\n')
} catch (error) {
  document.body.innerText = String(error)
}
`

/** Empty but for these, and the package. */
const host = project({ 'engine.js': ENGINE, 'model.js': MODEL, 'main.js': HOST, 'page.js': PAGE })

test('Node: engine and model, and importing touches nothing', async () => {
  const folder = await host
  const [engine, model, bytes] = (await execute(process.execPath, ['main.js'], folder)).trim().split('\n')
  expect(engine).toBe(ENGINE_SAYS)
  expect(model).toMatch(MODEL_SAYS)
  answerOfNode = model!
  const config = readFileSync(join(ROOT, 'weights/flowseg-nano/config.json'))
  expect(bytes).toBe(String(config.length))

  // As when a page is rendered on a server: nobody may look for a GPU, nor for a document
  const home = join(folder, 'node_modules/flowseg')
  const browserDoors = ['index', 'engine'].map((door) => join(home, `dist/browser/${door}.js`))
  const doors = ['flowseg', 'flowseg/engine', ...browserDoors.map((file) => pathToFileURL(file).href)]
  const importing = `
    for (const name of ['navigator', 'document', 'window', 'GPUBufferUsage']) {
      Object.defineProperty(globalThis, name, { get() { throw new Error(name + ' was looked at') } })
    }
    for (const door of ${JSON.stringify(doors)}) console.log(Object.keys(await import(door)).length > 0)`
  await writeFiles(folder, { 'import.mjs': importing })
  expect(await execute(process.execPath, ['import.mjs'], folder)).toBe('true\n'.repeat(doors.length))

  // The files for browsers import nothing else, and have nothing of Node's
  for (const file of readdirSync(join(home, 'dist/browser'))) {
    const code = readFileSync(join(home, 'dist/browser', file), 'utf8')
    expect(code.match(/(?:from|import)\s*\(?\s*['"](?!\.)[^'"]*['"]/g) ?? [], file).toEqual([])
    const forbidden = /.{0,40}(?:\beval\(|new Function\(|SharedArrayBuffer|WebAssembly|["'`]node:)/g
    expect(code.match(forbidden) ?? [], file).toEqual([])
  }
})

test('Node: a bundle that was written elsewhere finds the model in the package that is installed', async () => {
  const folder = await host
  await cp(join(folder, 'node_modules/flowseg/dist'), join(folder, 'bundle/out'), { recursive: true })
  const code = `
    import { EMBEDDED, openFolder } from './bundle/out/index.js'
    console.log(JSON.parse(await openFolder(EMBEDDED).readText('config.json')).name)`
  await writeFiles(folder, { 'bundled.mjs': code })
  expect(await execute(process.execPath, ['bundled.mjs'], folder)).toBe('flowseg-nano\n')
})

test('Deno: the same by npm:flowseg', async () => {
  const inDeno = (text: string): string => text.replaceAll(/'flowseg/g, "'npm:flowseg")
  const folder = await host
  await writeFiles(folder, {
    'deno/engine.js': inDeno(ENGINE),
    'deno/model.js': inDeno(MODEL),
    'deno/main.js': HOST.replaceAll("resolve('flowseg", "resolve('npm:flowseg"),
    'deno.json': JSON.stringify({ nodeModulesDir: 'manual' }),
  })
  const deno = join(ROOT, 'node_modules/deno/bin.cjs')
  const said = await execute(process.execPath, [deno, 'run', '-A', 'deno/main.js'], folder)
  expect(said.trim().split('\n').slice(0, 2)).toEqual([ENGINE_SAYS, answerOfNode])
}, 300_000)

test("an op of one's own is tested in Node, Deno and Bun, as the example does it", async () => {
  const folder = await host
  await cp(join(ROOT, 'examples/own-op'), join(folder, 'own-op'), { recursive: true })
  await writeFiles(folder, { 'deno.json': JSON.stringify({ nodeModulesDir: 'manual' }) })
  const script = 'own-op/self-test.js'
  for (const command of [
    [process.execPath, script],
    [process.execPath, join(ROOT, 'node_modules/deno/bin.cjs'), 'run', '-A', script],
    [bunProgram(), script],
  ] as const) {
    const [program, ...args] = command
    const said = await execute(program, args, folder)
    expect(said, args.join(' ')).toMatch(/^flowseg [\d.]+ self-test, seed 1$/m)
    expect(said, args.join(' ')).toMatch(/^20 passed, 0 failed, 0 skipped in /m)
  }
}, 300_000)

test('Vite: a built page, without Dawn and without a line of Node', async () => {
  const folder = await host
  await writeFiles(folder, {
    'worker.js': '',
    'index.html':
      '<!doctype html><title>Vite</title><body></body><script type="module" src="./page.js"></script>',
  })
  const warnings: string[] = []
  await build({
    root: folder,
    configFile: false,
    logLevel: 'warn',
    build: { target: 'es2022' },
    customLogger: collecting(warnings),
  })
  expect(warnings).toEqual([])
  const assets = join(folder, 'dist/assets')
  for (const file of readdirSync(assets).filter((name) => name.endsWith('.js'))) {
    expect(readFileSync(join(assets, file), 'utf8'), file).not.toMatch(
      /node:fs|dawn\.node|__vite-browser-external/,
    )
  }
  const mounts = { '': join(folder, 'dist'), package: join(folder, 'node_modules/flowseg') }
  const { text, complaints } = await visit(
    await serve(mounts, { 'content-security-policy': "default-src 'self'" }),
  )
  expect(complaints).toEqual([])
  expect(text.split('\n')).toEqual([ENGINE_SAYS, answerOfNode, 'NoAdapterError'])
})

test("a bare page: an import map, a worker, and default-src 'self'", async () => {
  // Import maps can't be files of their own, so the policy names this one by its hash
  const map = JSON.stringify({
    imports: {
      flowseg: '/package/dist/browser/index.js',
      'flowseg/engine': '/package/dist/browser/engine.js',
    },
  })
  const hash = createHash('sha256').update(map).digest('base64')
  const folder = await host
  await writeFiles(folder, {
    // Import maps don't count in workers, where the file is named
    'worker.js': `${ENGINE.replace("'flowseg/engine'", "'/package/dist/browser/engine.js'")}
      postMessage(await compute())`,
    'index.html': `<!doctype html><title>Bare</title><body></body>
      <script type="importmap">${map}</script><script type="module" src="./page.js"></script>`,
  })
  const policy = `default-src 'self'; script-src 'self' 'sha256-${hash}'`
  const mounts = { '': folder, package: join(folder, 'node_modules/flowseg') }
  const address = await serve(mounts, { 'content-security-policy': policy })
  const { text, complaints } = await visit(`${address}/?worker`)
  expect(complaints).toEqual([])
  expect(text.split('\n')).toEqual([ENGINE_SAYS, answerOfNode, 'NoAdapterError', `worker: ${ENGINE_SAYS}`])
})

/** Code of a consumer, with lines that mustn't compile. */
const TYPED = `
import { EMBEDDED, encodePng, FlowSeg, type Mask, type Scene, type Segmentation } from 'flowseg'
import { type Gpu, openGpu, type Tensor } from 'flowseg/engine'

export async function use(device: GPUDevice, bytes: Uint8Array): Promise<Segmentation> {
  const gpu: Gpu = await openGpu({ device })
  using model = await FlowSeg.load(EMBEDDED, { gpu, maxPending: 3 })
  using scene: Scene = await model.look(bytes)
  const { mask } = await scene.segment('the cat', { output: 'texture' })
  const texture: GPUTexture = mask.texture
  texture.destroy()
  const host: Mask = await (await scene.segment('the cat')).candidates[0]!.mask()
  encodePng({ ...host, grey: host.data })
  const x: number | undefined = scene.toModel[0]
  console.log(model.config.name, x)
  return scene.segment('the cat', { flow: true })
}
export type Shape = Tensor['shape']

export function misuse(model: FlowSeg, scene: Scene): void {
${[
  ...[
    '42',
    "'photo.png'",
    '{}',
    '[]',
    'undefined',
    'null',
    '{ width: 1, height: 1 }',
    'new Date()',
    '() => 0',
  ].map((wrong) => `model.look(${wrong})`),
  'model.look(Promise.resolve(new Uint8Array(1)))',
  'scene.segment(42)',
  "scene.segment('x', { output: 'canvas' })",
  'FlowSeg.load(undefined)',
  'FlowSeg.load({})',
  "FlowSeg.load('x', { qantize: 'int8' })",
]
  .map((line) => `  // @ts-expect-error\n  void ${line}`)
  .join('\n')}
}`

const typed = host.then(async (folder) => {
  await writeFiles(folder, { 'main.ts': TYPED })
  return folder
})
typed.catch(() => undefined)

const NODE = { module: 'nodenext' }
const BUNDLER = { module: 'esnext', moduleResolution: 'bundler' }

test.each(
  ['typescript-5', 'typescript'].flatMap((version) => [
    [version, 'Node, without the DOM', { ...NODE, lib: ['es2023'], skipLibCheck: false }] as const,
    [version, 'a bundler', { ...BUNDLER, lib: ['es2023', 'dom'], skipLibCheck: false }] as const,
    [
      version,
      'Node, without the DOM, libraries unchecked',
      { ...NODE, lib: ['es2023'], skipLibCheck: true },
    ] as const,
  ]),
)('%s for %s: types are whole, and tell mistakes', async (version, _, options) => {
  const folder = await typed
  const config = join(folder, 'tsconfig.json')
  const compilerOptions = {
    target: 'es2022',
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    types: [],
  }
  await writeFiles(folder, {
    'tsconfig.json': JSON.stringify({
      compilerOptions: { ...compilerOptions, ...options },
      files: ['main.ts'],
    }),
  })
  const tsc = join(ROOT, 'node_modules', version, 'bin/tsc')
  const said = await execute(process.execPath, [tsc, '-p', config], folder).catch(
    (error: { stdout: string }) => error.stdout,
  )
  expect(said).toBe('')
})

test('the package: no dead link, and a notice for all that is inlined', async () => {
  const home = join(await host, 'node_modules/flowseg')
  const files = readdirSync(home, { recursive: true, encoding: 'utf8' }).filter(
    (file) => !file.includes('node_modules'),
  )
  for (const file of files.filter((name) => name.endsWith('.md'))) {
    const text = readFileSync(join(home, file), 'utf8')
    const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => link!)
    const dead = links.filter(
      (link) => !/^(https?:|#)/.test(link) && !existsSync(join(home, dirname(file), link)),
    )
    expect(dead, file).toEqual([])
  }

  // Libraries are known by what stays of their code: words that no minifier takes away
  const inBrowsers = join(home, 'dist/browser')
  const chunks = readdirSync(inBrowsers).filter((name) => name.endsWith('.js'))
  const inlined = chunks.map((name) => readFileSync(join(inBrowsers, name), 'utf8')).join('\n')
  const notices = readFileSync(join(home, 'dist/browser/NOTICES.txt'), 'utf8')
  expect(inlined.includes('BPE')).toBe(true)
  for (const name of ['@huggingface/tokenizers', 'fast-png', 'fflate', 'wgpu-matrix'])
    expect(notices).toContain(`${name} `)
  expect(notices).toMatch(/Apache License/)
  expect(notices).toMatch(/Permission is hereby granted/)
  expect(readFileSync(join(home, 'dist/NOTICES.txt'), 'utf8')).toMatch(
    /Fluent Emoji[\s\S]*Copyright \(c\) Microsoft/,
  )
  expect(files).toContain('LICENSE')
})

/** A logger of Vite's that keeps what a user would see. */
function collecting(warnings: string[]) {
  const warn = (message: string): void => void warnings.push(message)
  const silent = (): void => undefined
  return {
    info: silent,
    warn,
    warnOnce: warn,
    error: warn,
    clearScreen: silent,
    hasErrorLogged: () => false,
    hasWarned: false,
  }
}
