// Shared by the tests of the package: the tarball as npm would publish it, empty projects that install it, and a
// server and a browser to open their pages in.

import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, extname, join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { type Browser, chromium, type Page } from 'playwright'
import { afterAll } from 'vitest'
import { softwareDriver } from '../../src/gpu/adapters/software-driver.ts'
import { launchOptions } from '../../tools/chromium.ts'
import { upToDate } from '../built.ts'
import { placeOf } from '../runtime.ts'

export const ROOT: string = resolve(placeOf('.'))
const run = promisify(execFile)

const undo: (() => Promise<unknown>)[] = []
afterAll(async () => {
  for (const free of undo.toReversed()) await free()
})

/** A folder that is gone after the tests of this file. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'flowseg-package-'))
  undo.push(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/**
 * Runs a program and returns what it printed; what it complained about is in the error. Where there is SwiftShader, it
 * computes on that, which machines without a driver have too, as has the browser, and which compiles faster than Mesa.
 *
 * @param env beside this process's
 */
export async function execute(
  command: string,
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const options = { cwd, env: environment(env), timeout: 300_000, maxBuffer: 2 ** 26 }
  const { stdout } = await run(command, args, options)
  return stdout
}

function environment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const driver = softwareDriver()
  const software: Record<string, string> = driver.ready
    ? { VK_ICD_FILENAMES: driver.manifest, LD_LIBRARY_PATH: dirname(driver.manifest) }
    : {}
  return { ...process.env, ...software, ...more }
}

/** Starts a server that prints its port. */
export async function start(file: string, cwd: string): Promise<{ address: string; stop: () => void }> {
  const server = spawn(process.execPath, [file], {
    cwd,
    env: environment(),
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  undo.push(async () => server.kill())
  const port = await new Promise<string>((resolve, reject) => {
    server.stdout.once('data', (line) => resolve(String(line).trim()))
    server.once('exit', (status) => reject(new Error(`${file} ended with ${status}.`)))
  })
  return { address: `http://localhost:${port}`, stop: () => server.kill() }
}

/** `npm ARGS`, by the npm that runs these tests if there is one. */
export function npm(args: readonly string[], cwd: string): Promise<string> {
  const cli = process.env['npm_execpath']
  return cli ? execute(process.execPath, [cli, ...args], cwd) : execute('npm', args, cwd)
}

let tarball: Promise<string> | undefined
/** The package as it would be published, as a tarball, built from the sources as they are now. */
export function packed(): Promise<string> {
  tarball ??= pack()
  return tarball
}

async function pack(): Promise<string> {
  await upToDate()
  const folder = await temporaryFolder()
  // Without scripts: prepare would build once more
  const said = await npm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], ROOT)
  const [{ filename }] = JSON.parse(said) as [{ filename: string }]
  return join(folder, filename)
}

/** An empty project with these files, in which the package is installed from its tarball. */
export async function project(files: Readonly<Record<string, string>> = {}): Promise<string> {
  const folder = await temporaryFolder()
  const manifest = { name: 'consumer', version: '1.0.0', private: true, type: 'module' }
  await writeFiles(folder, { 'package.json': JSON.stringify(manifest), ...files })
  const flags = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts', '--loglevel=error']
  await npm(['install', ...flags, await packed()], folder)
  return folder
}

export async function writeFiles(folder: string, files: Readonly<Record<string, string>>): Promise<void> {
  for (const [name, text] of Object.entries(files)) {
    await mkdir(dirname(join(folder, name)), { recursive: true })
    await writeFile(join(folder, name), text)
  }
}

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
}

/**
 * Serves folders, and nothing that a static host wouldn't.
 *
 * @param mounts  folder by the first part of the path; '' is the root
 * @param headers sent with every file
 * @returns       the address, without a slash at its end
 */
export async function serve(
  mounts: Readonly<Record<string, string>>,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost')
    const path = decodeURIComponent(pathname === '/' ? '/index.html' : pathname)
    const mount = Object.keys(mounts).find((name) => name && path.startsWith(`/${name}/`)) ?? ''
    const file = join(mounts[mount]!, mount ? path.slice(mount.length + 1) : path)
    readFile(file).then(
      (bytes) => {
        const type = TYPES[extname(file)] ?? 'application/octet-stream'
        response.writeHead(200, { 'content-type': type, ...headers }).end(bytes)
      },
      // A page without an icon is none that fails
      () => response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end(),
    )
  })
  await new Promise<void>((done) => server.listen(0, 'localhost', done))
  undo.push(() => new Promise((done) => server.close(done)))
  return `http://localhost:${(server.address() as AddressInfo).port}`
}

let browser: Promise<Browser> | undefined

/**
 * Opens a page and waits for the text that it shows in the end.
 *
 * @returns the text, and what the page complained about
 */
export async function visit(url: string, timeout = 120_000): Promise<{ text: string; complaints: string[] }> {
  if (!browser) {
    browser = chromium.launch(launchOptions())
    undo.push(async () => (await browser)?.close())
  }
  const page: Page = await (await browser).newPage()
  const complaints: string[] = []
  page.on('pageerror', (error) => complaints.push(error.message))
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(message.text())
  })
  try {
    await page.goto(url)
    await page.waitForFunction(() => document.body?.innerText.trim(), undefined, { timeout })
    return { text: (await page.innerText('body')).trim(), complaints }
  } catch (cause) {
    throw new Error(`${url} shows nothing. It complained: ${complaints.join('; ') || 'of nothing'}`, {
      cause,
    })
  } finally {
    await page.close()
  }
}
