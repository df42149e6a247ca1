// The parent's side of a worker: one child process an engine, started when it is first needed and again after a
// crash. A request that takes too long ends the child.

import { fork } from 'node:child_process'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const WORKER = join(dirname(fileURLToPath(import.meta.url)), '../worker.mjs')

export class Engine {
  #child
  #next = 0
  #waiting = new Map()
  #noise = ''

  constructor(name, adapter, environment, timeoutMs) {
    this.name = name
    this.adapter = adapter
    this.environment = environment
    this.timeoutMs = timeoutMs
  }

  /** @returns the worker's answer; throws what the worker threw, or how it ended */
  async ask(request, body = {}) {
    const fresh = !this.#child
    if (fresh) await this.#start()
    if (fresh && request !== 'open') await this.#send('open')
    return this.#send(request, body)
  }

  stop() {
    this.#child?.kill('SIGKILL')
    this.#child = undefined
  }

  async #start() {
    const child = fork(WORKER, [this.name, this.adapter], {
      env: { ...process.env, ...this.environment },
      execArgv: ['--max-old-space-size=8192', '--no-warnings'],
      serialization: 'advanced',
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    })
    this.#child = child
    this.#noise = ''
    // Engines print as they like; only the end is kept, for when one dies
    const listen = (data) => {
      this.#noise = (this.#noise + data).slice(-2000)
    }
    child.stdout.on('data', listen)
    child.stderr.on('data', listen)
    child.on('exit', (code, signal) => {
      if (this.#child === child) this.#child = undefined
      const last = this.#noise.trim().split('\n').slice(-2).join(' ').slice(-300)
      const error = new Error(`the process ended (${signal ?? `exit ${code}`})${last ? `: ${last}` : ''}`)
      for (const { reject } of this.#waiting.values()) reject(error)
      this.#waiting.clear()
    })
    child.on('message', ({ id, ready, answer, error }) => {
      const waiting = this.#waiting.get(ready ? 'ready' : id)
      this.#waiting.delete(ready ? 'ready' : id)
      if (error === undefined) waiting?.resolve(answer)
      else waiting?.reject(new Error(error))
    })
    await this.#answerTo('ready')
  }

  async #send(request, body) {
    const id = this.#next++
    const answer = this.#answerTo(id)
    this.#child.send({ id, request, ...body })
    return answer
  }

  #answerTo(id) {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#waiting.delete(id)
        this.stop()
        reject(new Error(`no answer within ${this.timeoutMs / 1000} s`))
      }, this.timeoutMs)
      const settle = (how) => (value) => {
        clearTimeout(timer)
        how(value)
      }
      this.#waiting.set(id, { resolve: settle(resolve), reject: settle(reject) })
    })
  }
}
