// The studio's page: what there is (a model, an image, a sentence, an answer), and what leads from one to the next. Its
// two workers do everything that takes time.

import { printable } from '../src/index.ts'
import { inWords, markCandidate, showAnswer, showCandidates } from './answers/answer.ts'
import { scoreChart } from './answers/chart.ts'
import { closeFlow, markKept, showFlow } from './answers/flow.ts'
import { setStale } from './answers/freshness.ts'
import { forgetObjects, markKeptObject, type ObjectsPlace, showObjects } from './answers/objects.ts'
import { Pointed } from './answers/pointed.ts'
import { expectRegions, mapsOf, presentModel, presentObjects, spokenTitle } from './answers/present.ts'
import { beginWords } from './answers/words.ts'
import { listenToPointing, regionAsk } from './canvas/pointing.ts'
import { chosenOpacity, download, listenToSaving, nameSaving, setSaving } from './canvas/saving.ts'
import { listenToTools } from './canvas/tools.ts'
import { failureOf, type WayOn } from './common/failures.ts'
import type {
  AnswerFacts,
  CandidateFacts,
  Failure,
  LoadRequest,
  ModelFacts,
  ObjectsAnswer,
  ObjectsAsk,
  PictureFacts,
  SaveKind,
} from './common/protocol.ts'
import { listen } from './inputs/inputs.ts'
import { showWorld, suggest, withExample } from './inputs/knows.ts'
import { fetchImage } from './inputs/links.ts'
import { markSample, SAMPLES, type Sample, showSamples } from './inputs/samples.ts'
import * as sentence from './inputs/sentence.ts'
import { complainOf, listenToTabs } from './inputs/tabs.ts'
import { listenToWeights, openWeights } from './inputs/weights.ts'
import { type AskOptions, ModelClient, RemoteError } from './page/client.ts'
import { byId, make } from './page/dom.ts'
import { clear, note, show, tell as tellNotice } from './page/notices.ts'
import { goOffline, watchForUpdates } from './page/offline.ts'
import { say, showProgress } from './page/progress.ts'
import { nextFrame, turn } from './page/turns.ts'
import type { Size } from './view/camera.ts'

// The model first: its worker has the most to do
const client = new ModelClient()
// In pieces, as a page that starts has other things to do too
const { ImageCanvas } = await import('./canvas/image-canvas.ts')
const canvas = new ImageCanvas()
await turn()
const candidates = byId('candidates')
const wantsAll = byId('all', HTMLInputElement)

/** The latest request for a model: what to try again. */
let wanted: LoadRequest = { place: { kind: 'embedded' } }
/** Settled once that one is; true if there is a model then. */
let ready: Promise<boolean> = Promise.resolve(false)
let loading: AbortController | undefined
/** True while a model is there, be it an earlier one; `trouble` tells why there is none. */
let hasModel = false
let facts: ModelFacts | undefined
let trouble: () => void = () => undefined
let picture: Pick<PictureFacts, 'name' | 'width' | 'height'> | undefined
/** Set while an image is being opened; resolves to whether it was. */
let opening: Promise<boolean> | undefined
/** True once the model has looked at it. */
let looked = false
/** The last sentence asked about this image, and the answer on the page. */
let asked = ''
let answered: AnswerFacts | undefined
/** The answer on the page, if it has only objects: to a region, a list or a question. */
let objects: ObjectsAnswer | undefined
/** The present sentence or candidate; a newer one stops it. */
let work = new AbortController()
let openings = 0
/** Number of sentences asked so far. */
let asks = 0

// ---- The model

async function load(request: LoadRequest): Promise<boolean> {
  loading?.abort()
  const stop = new AbortController()
  loading = stop
  wanted = request
  begin()
  setStale('model', hasAnswer())
  const line = showProgress(hasModel ? 'Loading other weights' : 'Loading the model', () => stop.abort())
  ready = client.ask('load', request, { signal: stop.signal, onProgress: line.step }).then(
    (model) => {
      hasModel = true
      looked = false
      facts = model
      presentModel(model)
      clear()
      say(`The model ${printable(model.name)} is ready`)
      void goOffline()
      return true
    },
    (error: unknown) => {
      if (stop !== loading) return false
      setStale('model', false)
      tellOf(error, stop.signal)
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
  // If memory was short, the present model was closed to make room
  if (error.code === 'ERR_DEVICE_LOST' || error.code === 'ERR_OUT_OF_MEMORY') hasModel = false
  tell(error)
}

function tell(failure: Failure): void {
  tellNotice(failure, wanted, goOn)
}

function loadOwn(request: LoadRequest): void {
  void load(request).then((isReady) => isReady && again())
}

/** Tells of a failure that is no model's. */
function fail(error: unknown): void {
  tell(error instanceof RemoteError ? error : failureOf(error))
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

/** Asks the last sentence of the new model, and nothing that it may not know. Text that was not submitted stays. */
function again(): void {
  if (objects) forget()
  else if (asked && !opening) void ask(asked)
}

client.onLost = (error) => {
  begin()
  hasModel = false
  trouble = () => tell(error)
  trouble()
}

// ---- The image

async function open(
  image: Blob | ImageBitmap | Promise<Blob>,
  name: string,
  sample?: Sample,
): Promise<boolean> {
  const mine = ++openings
  const line = showProgress(`Opening ${printable(name)}`)
  const isNew = (async () => {
    try {
      const opened = await client.ask('open', { image: await image, name })
      if (mine !== openings) return false
      clear()
      picture = opened
      looked = false
      forget()
      canvas.setImage(opened)
      markSample(sample)
      suggest(sample?.sentences ?? [])
      byId('picture-note').textContent = opened.isFlattened ? 'Its transparent parts lie on white.' : ''
      say(`${printable(name)} is open`)
      return true
    } catch (error) {
      if (mine === openings) fail(error)
      return false
    }
  })()
  opening = isNew
  setStale('image', hasAnswer())
  setSaving(false)
  const isOpen = await isNew
  line.end()
  if (mine === openings) {
    opening = undefined
    setStale('image', false)
    setSaving(hasAnswer())
  }
  return isOpen
}

async function openOwn(image: Blob | ImageBitmap | Promise<Blob>, name: string): Promise<void> {
  note('')
  const invite = sentence.inviting()
  const before = asks
  begin()
  // A sentence that was asked meanwhile waits for the image itself
  if (!(await open(image, name)) || asks !== before) return
  invite()
  await lookAhead()
}

/** While the sentence is being typed. */
async function lookAhead(): Promise<void> {
  const { signal } = work
  if (!(await ready) || signal.aborted) return
  const line = showProgress('Looking at the image')
  try {
    showWorld((await client.ask('look', {}, { signal, onProgress: line.step })).world)
    looked = true
    say('The image was looked at')
  } catch (error) {
    if (!signal.aborted && error instanceof RemoteError) tell(error)
  } finally {
    line.end()
  }
}

/** @param isStart opened by the page, not by a click */
async function openSample(sample: Sample, isStart = false): Promise<void> {
  note('')
  const isUntouched = sentence.untouched(isStart)
  const before = asks
  begin()
  if (!(await open(fetchImage(sample.url), sample.name, sample)) || asks !== before) return
  if (!isUntouched()) return lookAhead()
  sentence.askFor(sample.sentences[0] ?? '')
}

// ---- The sentence

function find(): void {
  const text = sentence.text()
  sentence.complain('')
  if (!text) return sentence.complain(withExample('Say what to find'))
  if (!picture && !opening) return sentence.complain('Open an image first.')
  void ask(text)
}

async function ask(text: string): Promise<void> {
  asks++
  const stop = begin()
  const { signal } = stop
  performance.mark('flowseg:ask', { detail: text })
  if (opening && !(await opening)) return
  asked = text
  await ready
  if (signal.aborted) return
  if (!hasModel) return trouble()
  candidates.inert = true // they are another sentence's
  await answerWith(stop, looked ? 'Finding it' : 'Looking at the image', async (options) => {
    const answer = await client.ask('segment', { sentence: text, all: wantsAll.checked }, options)
    return { answer, rest: () => showStrip(answer) }
  })
}

async function pick(query: number): Promise<void> {
  if (!hasModel) return trouble()
  await answerWith(begin(), 'Cutting out that candidate', async (options) => {
    const answer = await client.ask('pick', { query }, options)
    markCandidate(query) // the strip stays as it is, with the hand where it was
    return { answer }
  })
}

/** @returns what puts an answer's candidates on the page */
async function showStrip(answer: AnswerFacts): Promise<() => void> {
  const { candidates: some } = await client.ask('candidates', { from: 0 })
  return () =>
    showCandidates(some, answer, {
      pick: (query) => void pick(query),
      preview: ({ preview }, rank) =>
        canvas.preview({
          maps: { mask: preview },
          caption: `Candidate ${rank}, before its edge was refined`,
        }),
      endPreview: () => canvas.endPreview(),
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
  ask: (options: AskOptions) => Promise<{ answer: AnswerFacts; rest?: () => Promise<() => void> }>,
): Promise<void> {
  await answering(stop, what, sentence.complain, async (options, end) => {
    const isFirst = !looked
    const { answer, rest } = await ask(options)
    looked = true
    answered = answer
    objects = undefined
    canvas.setAnswer(mapsOf(answer))
    closeFlow()
    showAnswer(answer, isFirst)
    if (answer.all) showObjects(answer.all.objects, 'Objects', place)
    else forgetObjects()
    setStale('model', false)
    compare()
    setSaving(opening === undefined)
    const words = picture ? inWords(answer, picture) : ''
    canvas.describe(words)
    say(words)
    performance.mark('flowseg:answer', { detail: answer.sentence })
    end()
    const pieces = [() => showFlow(answer, canvas), () => byId('flow-body').append(scoreChart(answer))]
    if (rest) pieces.unshift(await rest())
    await showRest(pieces, answer)
  })
}

/** Work on an answer: with its progress, and what is said when it fails. @param complain about what was asked */
async function answering(
  stop: AbortController,
  what: string,
  complain: (what: string) => void,
  run: (options: AskOptions, end: () => void) => Promise<void>,
): Promise<void> {
  const { signal } = stop
  const line = showProgress(what, () => stop.abort())
  try {
    await run({ signal, onProgress: line.step }, line.end)
  } catch (error) {
    if (signal.aborted || !(error instanceof RemoteError)) return
    if (error.code === 'ERR_PROMPT' || error.code === 'ERR_USAGE') complain(error.message)
    else tell(error)
  } finally {
    line.end()
    if (work === stop) candidates.inert = false
  }
}

// ---- Regions, lists and questions

const place: ObjectsPlace = {
  canvas,
  highlight: async (object) => (await client.ask('highlight', { object }).catch(() => undefined))?.colours,
}
const under = async (point: Size) =>
  hasAnswer() ? (await client.ask('under', { point }).catch(() => undefined))?.under : undefined
const pointed = new Pointed(place, under)

async function askObjects(request: ObjectsAsk): Promise<void> {
  const complain = (what: string): void => {
    if (request.kind === 'region') note(what)
    else complainOf(request.kind === 'categories' ? 'categories' : 'question', what)
  }
  if (!picture && !opening) return complain('Open an image first.')
  asks++
  const stop = begin()
  const { signal } = stop
  if (opening && !(await opening)) return
  await ready
  if (signal.aborted) return
  if (!hasModel) return trouble()
  const title = spokenTitle(request)
  if (title !== undefined) forget()
  const writing = title === undefined ? undefined : beginWords(title)
  let isTold = false
  const what = !looked ? 'Looking at the image' : writing ? 'Writing' : 'Finding it'
  await answering(stop, what, complain, async (options) => {
    const answer = await client.ask('objects', request, { ...options, onText: writing?.add })
    isTold = true
    looked = true
    forget()
    objects = answer
    presentObjects(answer, place)
    setSaving(opening === undefined && answer.objects.some(({ found }) => found))
    performance.mark('flowseg:objects', { detail: request.kind })
  })
  if (!isTold) writing?.stop()
}

/** With weights that know regions a question about the place, otherwise the best candidate there. */
async function pickAt(at: Size): Promise<void> {
  if (!hasModel || !facts) return trouble()
  if (facts.tasks.includes('regions')) return askObjects(regionAsk({ point: at }))
  const there = await under(at)
  if (there?.kind === 'candidate') return pick(there.query)
  if (there) return
  say(answered ? 'No candidate is there.' : 'Ask for something first: a click picks one of its candidates.')
}

/** Work that can come a frame later, one piece per frame: the page stays quick. */
async function showRest(pieces: readonly (() => void)[], of: AnswerFacts): Promise<void> {
  for (const piece of pieces) {
    await nextFrame()
    if (answered !== of) return
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
  asked = ''
  answered = undefined
  objects = undefined
  setStale('model', false)
  compare()
  canvas.setAnswer(undefined)
  showWorld(undefined)
  forgetObjects()
  setSaving(false)
  byId('flow').hidden = true
  candidates.replaceChildren()
  byId('answer').replaceChildren(make('p', { className: 'faint' }, 'Say what to find in this image.'))
}

function hasAnswer(): boolean {
  return answered !== undefined || objects !== undefined
}

/** Marks the answer as stale if the sentence in the field is another one. */
function compare(): void {
  const isOther = answered !== undefined && sentence.text() !== answered.sentence
  setStale('sentence', isOther)
  if (objects) return // which says itself what it is about
  const isMissing = answered !== undefined && !answered.found && !answered.isPicked
  const words = isMissing ? 'Not found' : isOther ? 'Found for' : ''
  canvas.note(answered && words ? `${words}: ${printable(answered.sentence)}` : '')
}

// ---- Saving

async function save(kind: SaveKind): Promise<void> {
  const line = showProgress('Saving')
  try {
    const file = await client.ask('save', { kind, opacity: chosenOpacity(), shown: canvas.shown })
    download(file)
    say(`Saved ${printable(file.name)}`)
  } catch (error) {
    if (error instanceof RemoteError) tell(error)
  } finally {
    line.end()
  }
}

// ---- Start

sentence.listenToSentence({ change: compare, ask: find })
listenToSaving((kind) => void save(kind))
canvas.onKept = (kept) => {
  markKept(kept)
  markKeptObject(kept)
  nameSaving(canvas.shown)
}
listenToTabs((request) => void askObjects(request))
listenToPointing(canvas, {
  hover: (at) => void pointed.at(at),
  click: (at) => void pickAt(at),
  box: (box) => void askObjects(regionAsk({ box })),
  mayAsk: (what) => facts !== undefined && expectRegions(facts, what),
})
listenToTools(canvas, () => say('The answer is shown again'))

listen({
  image: (image, name) => void openOwn(image, name),
  weights: (files) => loadOwn({ place: { kind: 'files', files } }),
  fail,
})
listenToWeights(loadOwn, fail)
showSamples((sample) => void openSample(sample))

const first = SAMPLES[0]
void load(wanted)
void watchForUpdates()
if (first) void openSample(first, true)
