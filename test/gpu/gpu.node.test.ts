// Dawn in Node: which adapters there are, what is said where there is none, and that Node can go home.

import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { NoAdapterError } from '../../src/errors.ts'
import { listAdapters, namesListed } from '../../src/gpu/adapters/dawn.ts'
import { namesMeant } from '../../src/gpu/adapters/provider.ts'
import { openGpu } from '../../src/gpu/gpu.ts'
import { plan } from '../../src/tensor/plan.ts'
import { record, type Tensor, tensor } from '../../src/tensor/tensor.ts'
import { wgsl } from '../../tools/wgsl-plugin.ts'
import { adapterNames, textKernel as kernel } from '../support.ts'
import { failure } from './devices.ts'

const only = adapterNames()[0] ? { adapter: adapterNames()[0]! } : {}

test.skipIf(process.env['FLOWSEG_ADAPTER'])('tests run on every adapter that is listed', async () => {
  const names = await listAdapters()
  expect(names.length).toBeGreaterThan(0)
  expect(adapterNames()).toEqual(names)
})

test('an adapter is listed once, whatever else reaches it', () => {
  const complaint = [
    'no suitable backends found',
    'Available adapters:',
    " * backend: 'vulkan', name: 'NVIDIA GeForce RTX 3060'",
    " * backend: 'vulkan', name: 'llvmpipe (LLVM 15.0.6, 256 bits)'",
    " * backend: 'opengl', name: 'NVIDIA GeForce RTX 3060/PCIe/SSE2'",
    " * backend: 'opengles', name: 'NVIDIA GeForce RTX 3060/PCIe/SSE2'",
    " * backend: 'd3d12', name: 'NVIDIA GeForce RTX 3060'",
    " * backend: 'null', name: 'Null backend'",
  ].join('\n')
  expect(namesListed(complaint)).toEqual(['NVIDIA GeForce RTX 3060', 'llvmpipe (LLVM 15.0.6, 256 bits)'])
  expect(namesListed('Dawn found no usable driver')).toEqual([])
})

test('an adapter that does not exist: the message lists those that do', async () => {
  const { message } = await failure(openGpu({ adapter: 'Voodoo 2' }))
  expect(message).toMatch(
    /^No WebGPU adapter matches 'Voodoo 2': this machine has '.+'\. Pass a part of such a name/,
  )
  for (const name of adapterNames()) expect(message.toLowerCase()).toContain(name.toLowerCase())
})

test('an adapter is meant by any part of its name, in any case', async () => {
  const names = ['NVIDIA RTX 4090', 'NVIDIA RTX 4090 D', 'SwiftShader Device (Subzero)']
  expect(namesMeant('swiftshader', names)).toEqual([names[2]])
  expect(namesMeant(' SUBZERO', names)).toEqual([names[2]])
  expect(namesMeant('rtx', names)).toEqual(names.slice(0, 2))
  expect(namesMeant('nvidia rtx 4090', names)).toEqual([names[0]]) // the whole name of one of them
  expect(namesMeant('voodoo', names)).toEqual([])

  const all = await listAdapters()
  for (const name of all) {
    for (const part of [name.toUpperCase(), name.toLowerCase(), name.slice(0, 8).toUpperCase()]) {
      const gpu = await openGpu({ adapter: part })
      expect(gpu.name.replaceAll(/[^a-z0-9]+/gi, ' ').toLowerCase()).toContain(
        name
          .replaceAll(/[^a-z0-9]+/gi, ' ')
          .trim()
          .toLowerCase(),
      )
      gpu.close()
    }
  }
})

test('a part that several adapters have is refused with their names, and one of none is shown escaped', async () => {
  const names = await listAdapters()
  const shared = 'etaoinshrdlu'
    .split('')
    .find((letter) => names.every((name) => name.toLowerCase().includes(letter)))
  if (names.length > 1 && shared) {
    const { message } = await failure(openGpu({ adapter: shared }))
    expect(message).toContain(`'${shared}' matches several WebGPU adapters: '${names[0]}', '${names[1]}'`)
  }
  const { message } = await failure(openGpu({ adapter: '\x1b[2J\n' }))
  expect(message).toContain("No WebGPU adapter matches '\\e[2J\\n'")
})

test('opening one adapter, or failing to, hides none of the others', async () => {
  const before = { ...process.env }
  const names = await listAdapters()
  await expect(openGpu({ adapter: 'Voodoo 2' })).rejects.toThrow(NoAdapterError)
  const both = await Promise.all(adapterNames().map((name) => openGpu(name ? { adapter: name } : {})))
  for (const gpu of both) gpu.close()
  // WebGPU's name for a device is Vulkan's, all lower case and dashes
  const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]+/g, '-')
  for (const name of [...adapterNames(), ...adapterNames()].toReversed()) {
    const gpu = await openGpu(name ? { adapter: name } : {})
    expect(plain(gpu.name)).toContain(plain(name))
    gpu.close()
  }
  expect(await listAdapters()).toEqual(names)
  expect(process.env).toEqual(before)
})

// ---------------------------------------------------------------------------------------------------------
// Other processes

/** Under node_modules, where the bundle finds its packages; one folder a run, as there may be several at once. */
const folder = resolve(`node_modules/.cache/flowseg-test-${process.pid}`)
const bundle = join(folder, 'engine.mjs')
const alone = mkdtempSync(join(tmpdir(), 'flowseg-alone-'))

beforeAll(async () => {
  mkdirSync(folder, { recursive: true })
  const entry = join(folder, 'entry.ts')
  const files = ['src/gpu/gpu.ts', 'src/tensor/tensor.ts', 'src/tensor/plan.ts', 'src/ops/reduce/reduce.ts']
  writeFileSync(entry, files.map((file) => `export * from ${JSON.stringify(resolve(file))}`).join('\n'))
  await build({
    configFile: false,
    logLevel: 'error',
    plugins: [wgsl()],
    resolve: { conditions: ['node', 'module'] },
    build: {
      target: 'es2023',
      minify: false,
      emptyOutDir: false,
      outDir: folder,
      lib: { entry, formats: ['es'], fileName: () => 'engine.mjs' },
      rolldownOptions: { external: [/^node:/, 'webgpu'], output: { codeSplitting: false } },
    },
  })
})

afterAll(() => {
  for (const ready of [folder, alone]) rmSync(ready, { recursive: true, force: true })
})

let scripts = 0

/** Runs a module in a Node of its own. */
async function inNode(engine: string, code: string, env: NodeJS.ProcessEnv = {}): Promise<string> {
  const script = join(dirname(engine), `script-${scripts++}.mjs`)
  const names = `import { openGpu, plan, softmax } from ${JSON.stringify(pathToFileURL(engine).href)}`
  writeFileSync(script, `${names}\n${code}`)
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [script], {
      env: { ...process.env, ...env },
      timeout: 60_000, // a process that hangs is killed, and that is a failure
    })
    return stdout
  } finally {
    rmSync(script)
  }
}

test('Node exits by itself after close(), whatever was done before', async () => {
  const use = `
    const gpu = await openGpu(${JSON.stringify(only)})
    const made = await plan(gpu, 'p', ({ input }) => ({ read: { y: softmax(input('x', [2, 8])) } }))
    const { read } = await made.run({ inputs: { x: new Float32Array(16) } })
    console.log(read.y[0])
    gpu.close()
    console.log('closed')`
  expect(await inNode(bundle, use)).toBe('0.125\nclosed\n')
  expect(await inNode(bundle, `(await openGpu(${JSON.stringify(only)})).close()`)).toBe('')
})

test.runIf(process.platform === 'linux')(
  'without any driver the message says what was tried and three ways out',
  async () => {
    // A folder where Dawn is installed and the software driver is not; and no driver announced by the system
    mkdirSync(join(alone, 'node_modules'))
    symlinkSync(resolve('node_modules/webgpu'), join(alone, 'node_modules/webgpu'))
    const engine = join(alone, 'engine.mjs')
    copyFileSync(bundle, engine)
    const failing = `
    const error = await openGpu().catch((e) => e)
    console.log(error.name, error.code)
    console.log(error.message)
    console.log(JSON.stringify([error.tried, error.fixes]))`
    const none = {
      VK_ICD_FILENAMES: join(alone, 'none.json'),
      VK_DRIVER_FILES: '',
      HOME: alone,
      XDG_CACHE_HOME: alone,
    }
    const [first, message, lists] = (await inNode(engine, failing, none)).split('\n')
    expect(first).toBe('NoAdapterError ERR_NO_ADAPTER')
    expect(message).toContain("No WebGPU adapter. Tried: the system's drivers (")
    expect(message).toContain('SwiftShader from npm (@sparticuz/chromium is not installed)')
    expect(message).toMatch(/\(1\) with a GPU.*\(2\).*npm install @sparticuz\/chromium.*\(3\).*Mesa/)
    const [tried, fixes] = JSON.parse(lists!) as [string[], string[]]
    expect(tried).toEqual([
      expect.stringMatching(/^the system's drivers \(.+\)$/),
      'SwiftShader from npm (@sparticuz/chromium is not installed)',
    ])
    expect(fixes).toHaveLength(3)
    for (const item of [...tried, ...fixes]) expect(message).toContain(item)

    // And where even Dawn is missing
    const hiding = `
    import { rmSync } from 'node:fs'
    rmSync(${JSON.stringify(join(alone, 'node_modules/webgpu'))})`
    const [second, missing] = (await inNode(engine, `${hiding}${failing}`, none)).split('\n')
    expect(second).toBe('NoAdapterError ERR_NO_ADAPTER')
    expect(missing).toContain("The npm package 'webgpu' (Dawn for Node) can't be loaded")
    expect(missing).toContain('npm install webgpu')
  },
)

/** Records a kernel that reads a gigabyte past the end of x. */
function readOutside(x: Tensor): Tensor {
  const y = tensor(x.shape)
  const body = `
    struct Sizes { far: u32 }
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @group(0) @binding(2) var<uniform> sizes: Sizes;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x + sizes.far]; }`
  const sizes = { far: 2 ** 28 }
  record({ kernel: kernel('outside', body), reads: { x }, writes: { y }, sizes, workgroups: 1, flops: 0 })
  return y
}

test.each(adapterNames())('with bounds checks, what a shader reads stays inside, on %s', async (adapter) => {
  const gpu = await openGpu({ adapter, boundsChecks: true })
  const outside = await plan(gpu, 'outside', ({ input }) => ({ read: { y: readOutside(input('x', [64])) } }))
  const { read } = await outside.run({ inputs: { x: new Float32Array(64).fill(7) } })
  for (const value of read.y) expect([0, 7]).toContain(value)
  gpu.close()
})
