// Opening, losing and closing a device: whose it is, what is said when there is none, and that Node can go home.

import { execFile } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { build } from 'vite'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { DeviceLostError, NoAdapterError } from '../../src/errors.ts'
import { listAdapters, namesListed } from '../../src/gpu/dawn.ts'
import { Gpu, openGpu, Rate } from '../../src/gpu/gpu.ts'
import { softmax } from '../../src/ops/reduce.ts'
import { allocate, type Plan, plan, upload } from '../../src/ops/tensor.ts'
import { wgsl } from '../../tools/wgsl-plugin.ts'
import { adapterNames, adapters, uniform } from '../support.ts'
import { believe, failure, rawDevice } from './devices.ts'

const only = adapterNames()[0] ? { adapter: adapterNames()[0]! } : {}

function softmaxPlan(gpu: Gpu, depth = 1): Promise<Plan> {
  return plan(gpu, 'softmax', ({ input }) => {
    let x = input('x', [4, 8])
    for (let i = 0; i < depth; i++) x = softmax(x)
    return { read: { x } }
  })
}

const inputs = { x: uniform(32) }

for (const gpu of await adapters()) {
  test(`an opened adapter says what it is: ${gpu.name}`, () => {
    expect(gpu.name).not.toBe('')
    expect(gpu.runtime).toMatch(/Node \d+.*Dawn|Deno|browser/)
    expect(gpu.bindingLimit).toBeGreaterThanOrEqual(128 * 2 ** 20)
    expect(gpu.features).toEqual({
      f16: gpu.device.features.has('shader-f16'),
      subgroups: gpu.device.features.has('subgroups'),
      timestamps: gpu.device.features.has('timestamp-query'),
    })
  })
}

test('features and limits can be forgone', async () => {
  const gpu = await openGpu({
    ...only,
    without: ['subgroups', 'shader-f16', 'timestamp-query'],
    bindingLimit: 4096,
  })
  expect(gpu.features).toEqual({ f16: false, subgroups: false, timestamps: false })
  expect(gpu.device.features.has('subgroups')).toBe(false)
  expect(gpu.bindingLimit).toBe(4096)
  gpu.close()
})

test("the caller's device is used as it is, and survives us", async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device })
  expect(gpu.device).toBe(device)
  expect(gpu.runtime).toBe('device of the caller')
  const made = await softmaxPlan(gpu)
  await made.run({ inputs })
  gpu.close()
  expect(gpu.memory().bytes).toBe(0)

  // Still alive: another Gpu can have it
  let lost = false
  void device.lost.then(() => (lost = true))
  const again = await Gpu.open({ device })
  const other = await softmaxPlan(again)
  await other.run({ inputs })
  await new Promise((done) => setTimeout(done, 20))
  expect(lost).toBe(false)
  again.close()
  free()
})

test('a lost device: the run under way is rejected, and so is everything after', async () => {
  const gpu = await openGpu(only)
  const made = await softmaxPlan(gpu, 30)
  believe(gpu) // 30 submissions
  let events = 0
  const running = made.run({ inputs, onProgress: () => ++events === 3 && gpu.device.destroy() })
  await expect(running).rejects.toThrow(DeviceLostError)
  await expect(running).rejects.toThrow(
    /The GPU device was lost \(destroyed\): .*Open a new one with openGpu\(\)/,
  )
  expect(events).toBeLessThan(30)

  await expect(made.run({ inputs })).rejects.toThrow(DeviceLostError)
  await expect(softmaxPlan(gpu)).rejects.toThrow(DeviceLostError)
  await expect(upload(gpu, uniform(4), [4], 'f32')).rejects.toThrow(DeviceLostError)
  await expect(gpu.idle()).rejects.toThrow(DeviceLostError)
  expect((await failure(made.run({ inputs }))).code).toBe('ERR_DEVICE_LOST')
  gpu.close()
})

test('nobody waits for a device that is gone, even where the runtime forgets its promises', async () => {
  for (const open of [() => openGpu(only), async () => Gpu.open({ device: (await rawDevice()).device })]) {
    const gpu = await open()
    const waiting = gpu.wait(new Promise<void>(() => undefined))
    gpu.device.destroy()
    await expect(waiting).rejects.toThrow(DeviceLostError)
    gpu.close()
  }
})

test('closed in the middle of a run, and used afterwards', async () => {
  for (const open of [() => openGpu(only), async () => Gpu.open({ device: (await rawDevice()).device })]) {
    const gpu = await open()
    const made = await softmaxPlan(gpu, 10)
    believe(gpu)
    let events = 0
    const running = made.run({ inputs, onProgress: () => ++events === 2 && gpu.close() })
    await expect(running).rejects.toThrow(DeviceLostError)
    await expect(made.run({ inputs })).rejects.toThrow('This Gpu was closed. Open a new one with openGpu().')
    await expect(allocate(gpu, [4], 'f32')).rejects.toThrow(DeviceLostError)
    await expect(softmaxPlan(gpu)).rejects.toThrow(DeviceLostError)
    expect(gpu.memory().bytes).toBe(0)
    gpu.close() // twice is harmless
  }
})

test('what the device reports on its own reaches whoever awaits next, once', async () => {
  const gpu = await openGpu(only)
  const made = await softmaxPlan(gpu)
  gpu.device.createBuffer({ size: 4, usage: 0 })
  await new Promise((done) => setTimeout(done, 50))
  const error = await failure(made.run({ inputs }))
  expect(error.code).toBe('ERR_GPU')
  expect(error.message).toMatch(/^The device reported: .*[uU]sage/)
  await made.run({ inputs })
  gpu.close()
})

test("a fault on the caller's device stays the caller's", async () => {
  const { device, free } = await rawDevice()
  const gpu = await Gpu.open({ device })
  const made = await softmaxPlan(gpu)
  const claimed: boolean[] = []
  device.addEventListener('uncapturederror', (event) => {
    claimed.push(event.defaultPrevented)
    event.preventDefault() // or the runtime prints it
  })
  device.createBuffer({ size: 4, usage: 0 })
  await new Promise((done) => setTimeout(done, 50))
  expect(claimed).toEqual([false])
  await made.run({ inputs })
  gpu.close()
  free()
})

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
  const error = await failure(openGpu({ adapter: 'Voodoo 2' }))
  expect(error).toBeInstanceOf(NoAdapterError)
  expect(error.code).toBe('ERR_NO_ADAPTER')
  const { message } = error
  expect(message).toMatch(
    /^No WebGPU adapter matches 'Voodoo 2': this machine has '.+'\. Pass a part of such a name/,
  )
  for (const name of adapterNames()) expect(message.toLowerCase()).toContain(name.toLowerCase())
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

test('the measured speed moves towards what is seen, and ignores runs too short to tell', () => {
  const rate = new Rate(1e9)
  rate.learn(1e12, 0.001)
  rate.learn(1e3, 10)
  expect(rate.flopsPerSecond).toBe(1e9)
  for (let i = 0; i < 50; i++) rate.learn(4e9, 2)
  expect(rate.flopsPerSecond / 2e9).toBeCloseTo(1)
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
  const files = ['src/gpu/gpu.ts', 'src/ops/tensor.ts', 'src/ops/reduce.ts']
  writeFileSync(entry, files.map((file) => `export * from ${JSON.stringify(resolve(file))}`).join('\n'))
  await build({
    configFile: false,
    logLevel: 'error',
    plugins: [wgsl()],
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
  for (const made of [folder, alone]) rmSync(made, { recursive: true, force: true })
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
