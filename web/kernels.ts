// The page of the kernel tests: runs the self-test on this device, shows a row per op and variant as results come, and
// has a report to copy. Everything it knows of kernels it has from the engine's public door.

import {
  FlowSegError,
  type Gpu,
  groupResults,
  type KernelResult,
  OP_FAMILIES,
  type OpFamily,
  openGpu,
  type ResultGroup,
  type SelfTestSummary,
  selfTest,
} from '../src/engine.ts'
import { milliseconds } from './common/format.ts'
import { byId, make } from './page/dom.ts'

const what = byId('what', HTMLSelectElement)
const count = byId('count', HTMLInputElement)
const seed = byId('seed', HTMLInputElement)
const start = byId('start', HTMLButtonElement)
const stop = byId('stop', HTMLButtonElement)
const bar = byId('bar', HTMLProgressElement)
const family = byId('family', HTMLSelectElement)
const onlyWrong = byId('wrong', HTMLInputElement)
const withSkipped = byId('skipped', HTMLInputElement)
const report = byId('report')
const copied = byId('copied')

let results: KernelResult[] = []
let drawing = 0
let running: AbortController | undefined

for (const select of [what, family]) {
  select.append(...OP_FAMILIES.map((name) => make('option', { value: name }, name)))
}
// A link can say what to test: kernels.html?families=matmul&count=3&seed=7
const asked = new URLSearchParams(location.search)
const askedFamily = asked.get('families') ?? ''
if (OP_FAMILIES.some((name) => name === askedFamily)) what.value = askedFamily
count.value = asked.get('count') ?? count.value
seed.value = asked.get('seed') ?? seed.value

byId('run', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  const wrong = [count, seed].find((input) => input.value === '' || !input.checkValidity())
  if (wrong) {
    tellProblem(
      `${wrong === count ? 'Problems each' : 'The seed'}: ${wrong.validationMessage || 'a number is missing'}`,
    )
    wrong.focus()
    return
  }
  void run()
})
stop.addEventListener('click', () => running?.abort())
for (const control of [family, onlyWrong, withSkipped]) control.addEventListener('change', draw)
byId('copy').addEventListener('click', () => void copy())

async function run(): Promise<void> {
  const controller = new AbortController()
  running = controller
  results = []
  setRunning(true)
  tellProblem('')
  byId('report-part').hidden = true
  tell('Opening the GPU')
  draw()
  let gpu: Gpu | undefined
  const started = performance.now()
  const seconds = (): number => (performance.now() - started) / 1000
  try {
    gpu = await openGpu()
    byId('adapter').textContent = gpu.name
    const summary = await selfTest(gpu, {
      ...(what.value === '' ? {} : { families: [what.value as OpFamily] }),
      count: Number(count.value),
      seed: Number(seed.value),
      signal: controller.signal,
      onResult: (result) => {
        results.push(result)
        drawSoon()
      },
      onProgress: ({ what: op, loaded, total }) => {
        bar.value = total > 0 ? loaded / total : 0
        tell(`${loaded} of ${total} problems, ${countsText()}: ${op}`)
      },
    })
    bar.value = 1
    finish(summary)
  } catch (error) {
    if (controller.signal.aborted) tell(`Stopped after ${seconds().toFixed(1)} s: ${countsText()}.`)
    else tellProblem(error instanceof FlowSegError ? error.message : `The test broke off: ${String(error)}`)
  } finally {
    gpu?.close()
    running = undefined
    setRunning(false)
    draw()
    byId('status').textContent = byId('summary').textContent
  }
}

function finish(summary: SelfTestSummary): void {
  const { failed, seconds } = summary
  const verdict = failed > 0 ? `${failed} wrong: please report it` : 'Nothing is wrong'
  tell(`${verdict}. ${countsText()} in ${seconds.toFixed(1)} s.`)
  report.textContent = `${summary.report}browser  ${navigator.userAgent}\n`
  copied.textContent = ''
  byId('report-part').hidden = false
}

async function copy(): Promise<void> {
  try {
    await navigator.clipboard.writeText(report.textContent)
    copied.textContent = 'Copied.'
  } catch {
    // Not in a secure page, or not allowed: it is selected, for the person to copy
    getSelection()?.selectAllChildren(report)
    copied.textContent = 'Selected: copy it with the keyboard.'
  }
}

function countsText(): string {
  const sum = (status: KernelResult['status']): number =>
    results.filter((result) => result.status === status).length
  return `${sum('passed')} right, ${sum('failed')} wrong, ${sum('skipped')} do not fit`
}

function setRunning(isRunning: boolean): void {
  stop.disabled = !isRunning
  for (const control of [start, what, count, seed]) control.disabled = isRunning
  ;(isRunning ? stop : start).focus()
}

function tell(text: string): void {
  byId('summary').textContent = text
}

function tellProblem(text: string): void {
  byId('problem').textContent = text
  if (text) tell('Nothing was tested.')
}

// ---------------------------------------------------------------------------------------------------------
// The table

/** At the next frame, once for all results that came since the last. */
function drawSoon(): void {
  drawing ||= requestAnimationFrame(draw)
}

function draw(): void {
  cancelAnimationFrame(drawing)
  drawing = 0
  const groups = groupResults(results).filter(isShown)
  byId('rows').replaceChildren(...groups.map(rowOf))
  byId('empty').hidden = groups.length > 0
}

function isShown({ family: of, passed, failed }: ResultGroup): boolean {
  if (family.value !== '' && of !== family.value) return false
  if (onlyWrong.checked) return failed > 0
  return passed + failed > 0 || withSkipped.checked
}

function rowOf(group: ResultGroup): HTMLTableRowElement {
  const { op, type, variant = '', passed, failed, error, tolerance, ms } = group
  const ran = passed + failed
  const state = failed > 0 ? 'failed' : ran > 0 ? 'passed' : 'skipped'
  const words = { failed: '✕ wrong', passed: '✓ right', skipped: 'does not fit' }
  const cell = (text: string): HTMLTableCellElement => make('td', { className: 'number' }, text)
  return make(
    'tr',
    { className: state },
    make('td', {}, words[state]),
    make('td', {}, op),
    make('td', {}, type),
    make('td', {}, variant),
    cell(failed > 0 ? `${failed} of ${ran}` : `${ran}`),
    cell(error === undefined ? '' : short(error, 1)),
    cell(short(tolerance, 0)),
    cell(ran > 0 ? milliseconds(ms / ran) : ''),
  )
}

/** '2.0e-6', and '0' for what is exact. */
function short(error: number, digits: number): string {
  return error === 0 ? '0' : error.toExponential(digits)
}
