// The studio's page: what there is (a model, an image, a sentence, an answer), and what leads from one to the next. Its
// two workers do everything that takes time.

import { markCandidate, showAnswer, showCandidates } from './answer.ts'
import { busy, say } from './busy.ts'
import { type AskOptions, ModelClient, RemoteError } from './client.ts'
import { course } from './course.ts'
import { byId, make, percent } from './dom.ts'
import { failureOf, type WayOn } from './failures.ts'
import { showFlow } from './flow.ts'
import { listen } from './incoming.ts'
import { clear, show, tell as tellNotice } from './notices.ts'
import { goOffline } from './offline.ts'
import type { AnswerFacts, CandidateFacts, Failure, LoadRequest, PictureFacts, SaveKind } from './protocol.ts'
import { markSample, SAMPLES, type Sample, showSamples } from './samples.ts'
import type { Mode } from './stage.ts'
import { listenToWeights, openWeights, showModel } from './weights.ts'

// The model first: its worker has the most to do
const client = new ModelClient()
// In pieces, as a page that starts has other things to do too
const { Stage } = await import('./stage.ts')
const stage = new Stage()
await turn()
const sentence = byId('sentence', HTMLInputElement)
const sentenceError = byId('sentence-error')
const candidates = byId('candidates')

/** The latest request for a model: what to try again. */
let wanted: LoadRequest = { place: { kind: 'embedded' } }
/** Settled once that one is; true if there is a model then. */
let ready: Promise<boolean> = Promise.resolve(false)
let loading: AbortController | undefined
/** Whether a model is there, be it an earlier one; if not, why. */
let hasModel = false
let trouble: () => void = () => undefined
let picture: Pick<PictureFacts, 'name' | 'width' | 'height'> | undefined
/** Whether the model has looked at it. */
let looked = false
/** The present sentence or candidate; a newer one stops it. */
let work = new AbortController()
let opening = 0

// ---- The model

async function load(request: LoadRequest): Promise<boolean> {
  loading?.abort()
  const stop = new AbortController()
  loading = stop
  wanted = request
  begin()
  const line = busy(hasModel ? 'Loading other weights' : 'Loading the model', () => stop.abort())
  ready = client.ask('load', request, { signal: stop.signal, onProgress: line.step }).then(
    (model) => {
      hasModel = true
      looked = false
      showModel(model)
      clear()
      say(`The model ${model.name} is ready`)
      goOffline()
      return true
    },
    (error: unknown) => {
      if (stop === loading) tellOf(error, stop.signal)
      return false
    },
  )
  const isReady = await ready
  line.end()
  return isReady
}

function tellOf(error: unknown, signal: AbortSignal): void {
  trouble = () => tellOf(error, signal)
  if (signal.aborted) {
    const kept = hasModel ? 'The present model stays.' : 'Nothing can be found without it.'
    const text = `${kept} What was downloaded is kept where the browser allows it.`
    return show({ title: 'Loading was cancelled', text, ways: ['retry'] }, goOn)
  }
  if (!(error instanceof RemoteError)) throw error
  // Where memory is short, the present model has made room
  if (error.code === 'ERR_DEVICE_LOST' || error.code === 'ERR_OUT_OF_MEMORY') hasModel = false
  tell(error)
}

function tell(failure: Failure): void {
  tellNotice(failure, wanted, goOn)
}

function loadOwn(request: LoadRequest): void {
  void load(request).then((isReady) => isReady && again())
}

/** With what is no model's failure. */
function fail(error: unknown): void {
  tell(failureOf(error))
}

/** The ways on that notices offer. */
function goOn(way: WayOn): void {
  switch (way) {
    case 'reload':
      return location.reload()
    case 'retry':
      return loadOwn(wanted)
    case 'embedded':
      return loadOwn({ place: { kind: 'embedded' } })
    case 'int4':
      return loadOwn({ ...wanted, quantize: 'int4' })
    case 'picture':
      return byId('choose').click()
    case 'weights':
      return openWeights()
  }
}

/** The same image and sentence with another model. */
function again(): void {
  if (picture && sentence.value.trim()) void find()
}

client.onLost = (error) => {
  begin()
  hasModel = false
  trouble = () => tell(error)
  trouble()
}

// ---- The image

async function open(image: Blob | ImageBitmap, name: string, sample?: Sample): Promise<boolean> {
  const mine = ++opening
  begin()
  const line = busy(`Opening ${name}`)
  try {
    const opened = await client.ask('open', { image, name })
    if (mine !== opening) return false
    clear()
    picture = opened
    looked = false
    forget()
    stage.setImage(opened)
    markSample(sample)
    suggest(sample?.sentences ?? [])
    say(`${name} is open`)
    return true
  } catch (error) {
    if (mine === opening && error instanceof RemoteError) tell(error)
    return false
  } finally {
    line.end()
  }
}

async function openOwn(image: Blob | ImageBitmap, name: string): Promise<void> {
  if (!(await open(image, name))) return
  sentence.select()
  sentence.focus()
  await lookAhead()
}

/** While the sentence is being typed. */
async function lookAhead(): Promise<void> {
  const { signal } = work
  if (!(await ready) || signal.aborted) return
  const line = busy('Looking at the image')
  try {
    await client.ask('look', {}, { signal, onProgress: line.step })
    looked = true
    say('The image was looked at')
  } catch (error) {
    if (!signal.aborted && error instanceof RemoteError) tell(error)
  } finally {
    line.end()
  }
}

async function openSample(sample: Sample): Promise<void> {
  const response = await fetch(sample.url)
  if (!(await open(await response.blob(), sample.name, sample))) return
  sentence.value = sample.sentences[0] ?? ''
  await find()
}

function suggest(sentences: readonly string[]): void {
  byId('suggestions').replaceChildren(
    ...sentences.map((text) => {
      const button = make('button', { type: 'button' }, text)
      button.addEventListener('click', () => {
        sentence.value = text
        void find()
      })
      return make('li', {}, button)
    }),
  )
}

// ---- The sentence

async function find(): Promise<void> {
  const text = sentence.value.trim()
  complain('')
  if (!text) return complain('Say what to find: "the large clock", for instance.')
  if (!picture) return complain('Open an image first.')
  const stop = begin()
  const { signal } = stop
  performance.mark('flowseg:ask', { detail: text })
  await ready
  if (signal.aborted) return
  if (!hasModel) return trouble()
  candidates.inert = true // they are another sentence's
  await answerWith(stop, looked ? 'Finding it' : 'Looking at the image', async (options) => {
    const found = await client.ask('segment', { sentence: text }, options)
    return { found, rest: () => showStrip(found, options) }
  })
}

async function pick(query: number): Promise<void> {
  if (!hasModel) return trouble()
  await answerWith(begin(), 'Cutting out that candidate', async (options) => {
    const found = await client.ask('pick', { query }, options)
    markCandidate(query) // the strip stays as it is, with the hand where it was
    return { found }
  })
}

/** @returns what puts an answer's candidates on the page */
async function showStrip(found: AnswerFacts, options: AskOptions): Promise<() => void> {
  const { candidates: some } = await client.ask('candidates', { from: 0 }, options)
  return () =>
    showCandidates(some, found, {
      pick: (query) => void pick(query),
      preview: ({ soft }, rank) =>
        stage.preview({ mask: soft }, `Candidate ${rank}, before its edge was refined`),
      endPreview: () => stage.endPreview(),
      more: moreCandidates,
    })
}

/** More candidates of the present answer. */
async function moreCandidates(from: number): Promise<readonly CandidateFacts[] | undefined> {
  try {
    if (hasModel) return (await client.ask('candidates', { from })).candidates
    trouble()
  } catch (error) {
    if (error instanceof RemoteError) tell(error)
  }
  return undefined
}

async function answerWith(
  stop: AbortController,
  what: string,
  ask: (options: AskOptions) => Promise<{ found: AnswerFacts; rest?: () => Promise<() => void> }>,
): Promise<void> {
  const { signal } = stop
  const line = busy(what, () => stop.abort())
  try {
    const isFirst = !looked
    const { found, rest } = await ask({ signal, onProgress: line.step })
    looked = true
    stage.setAnswer(found.mask)
    showAnswer(found, isFirst)
    setSaving(true)
    const words = inWords(found)
    stage.describe(words)
    say(words)
    performance.mark('flowseg:answer', { detail: found.sentence })
    line.end()
    const pieces = [() => showFlow(found, stage), () => byId('flow-body').append(course(found))]
    if (rest) pieces.unshift(await rest())
    await showRest(pieces, signal)
  } catch (error) {
    if (signal.aborted || !(error instanceof RemoteError)) return
    if (error.code === 'ERR_PROMPT') complain(error.message)
    else tell(error)
  } finally {
    line.end()
    if (work === stop) candidates.inert = false
  }
}

/** What can come a frame later, a piece a frame: the page stays quick. */
async function showRest(pieces: readonly (() => void)[], signal: AbortSignal): Promise<void> {
  for (const piece of pieces) {
    await nextFrame()
    if (signal.aborted) return
    piece()
  }
  performance.mark('flowseg:shown')
}

function begin(): AbortController {
  work.abort()
  work = new AbortController()
  return work
}

function forget(): void {
  stage.setAnswer(undefined)
  setSaving(false)
  byId('flow').hidden = true
  candidates.replaceChildren()
  byId('answer').replaceChildren(make('p', { className: 'faint' }, 'Say what to find in this image.'))
}

function complain(text: string): void {
  sentenceError.textContent = text
  sentence.setAttribute('aria-invalid', String(text !== ''))
  if (text) say(text)
}

/** What was found and where, for those who don't see it. */
function inWords({ sentence: asked, score, rank, share, box }: AnswerFacts): string {
  if (!box || !picture) return `Nothing found for ${asked}: the mask is empty.`
  const thirds = (at: number, names: readonly [string, string, string]): string =>
    names[Math.min(2, Math.floor(3 * at))] ?? names[1]
  const across = thirds((box[0] + box[2]) / 2 / picture.width, ['left', 'centre', 'right'])
  const down = thirds((box[1] + box[3]) / 2 / picture.height, ['top', 'middle', 'bottom'])
  const where = `${down} ${across}`.replace('middle centre', 'centre')
  const which = rank > 1 ? `Candidate ${rank} for` : 'Found'
  return `${which} ${asked}, at the ${where} of the image, ${percent(share, 1)} of it. Score ${score.toFixed(2)}.`
}

// ---- Saving

function setSaving(isPossible: boolean): void {
  for (const button of document.querySelectorAll<HTMLButtonElement>('[data-save]'))
    button.disabled = !isPossible
}

async function save(kind: SaveKind): Promise<void> {
  const line = busy('Saving')
  try {
    const opacity = Number(byId('opacity', HTMLInputElement).value) / 100
    const { blob, name } = await client.ask('save', { kind, opacity })
    const url = URL.createObjectURL(blob)
    make('a', { href: url, download: name }).click()
    setTimeout(() => URL.revokeObjectURL(url), 60_000)
    say(`Saved ${name}`)
  } catch (error) {
    if (error instanceof RemoteError) tell(error)
  } finally {
    line.end()
  }
}

// ---- Start

/** Once a frame was drawn, or soon where none are as nobody looks. */
function nextFrame(): Promise<void> {
  return new Promise((resolve) => {
    requestAnimationFrame(() => setTimeout(resolve))
    setTimeout(resolve, 200)
  })
}

/** Lets others have a turn, so that nobody waits long for one. */
function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve))
}

byId('ask').addEventListener('submit', (event) => {
  event.preventDefault()
  void find()
})
for (const button of document.querySelectorAll<HTMLButtonElement>('[data-save]')) {
  button.addEventListener('click', () => void save(button.dataset['save'] as SaveKind))
}
for (const radio of document.querySelectorAll<HTMLInputElement>('[name=mode]')) {
  radio.addEventListener('change', () => stage.setMode(radio.value as Mode))
}
byId('opacity', HTMLInputElement).addEventListener('input', ({ currentTarget }) => {
  stage.setOpacity(Number((currentTarget as HTMLInputElement).value) / 100)
})
byId('zoom-in').addEventListener('click', () => stage.zoom(1.5))
byId('zoom-out').addEventListener('click', () => stage.zoom(1 / 1.5))
byId('zoom-fit').addEventListener('click', () => stage.fit())

listen({
  image: (image, name) => void openOwn(image, name),
  weights: (files) => loadOwn({ place: { kind: 'files', files } }),
  fail,
})
listenToWeights(loadOwn, fail)
showSamples((sample) => void openSample(sample))

const first = SAMPLES[0]
void load(wanted)
if (first) void openSample(first)
