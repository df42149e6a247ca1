// The model's worker: takes requests from the page, so that neither weights nor pixels ever hold it up.

import { failureOf } from '../common/failures.ts'
import type { AnswerFacts, FromWorker, ToWorker } from '../common/protocol.ts'
import { Session } from './session.ts'

const session = new Session()
const running = new Map<number, AbortController>()

session.onLost = (message) =>
  post({ type: 'lost', failure: { name: 'DeviceLostError', code: 'ERR_DEVICE_LOST', message } })

// For the curious: studio.model.plans() in this worker's console
Object.assign(globalThis, { studio: session })

globalThis.addEventListener('message', ({ data }: MessageEvent<ToWorker>) => {
  if (data.type === 'cancel') running.get(data.id)?.abort()
  else void run(data)
})

async function run(request: Extract<ToWorker, { type: 'ask' }>): Promise<void> {
  const { id } = request
  const stop = new AbortController()
  running.set(id, stop)
  try {
    const answer = await answerTo(request, {
      signal: stop.signal,
      onProgress: (progress) => post({ type: 'progress', id, progress }),
      onText: (text) => post({ type: 'text', id, text }),
    })
    post({ type: 'answer', id, answer }, transfersOf(answer))
  } catch (error) {
    post({ type: 'failure', id, failure: failureOf(error) })
  } finally {
    running.delete(id)
  }
}

async function answerTo(
  request: Extract<ToWorker, { type: 'ask' }>,
  task: Parameters<Session['objects']>[1],
): Promise<object> {
  switch (request.name) {
    case 'load':
      return session.load(request.ask, task)
    case 'open':
      return session.open(request.ask.image, request.ask.name)
    case 'look':
      return { world: await session.look(task) }
    case 'segment':
      return session.segment(request.ask, task)
    case 'objects':
      return session.objects(request.ask, task)
    case 'highlight':
      return { colours: session.highlight(request.ask.object) }
    case 'under':
      return { under: session.under(request.ask.point) }
    case 'candidates':
      return { candidates: session.candidates(request.ask.from) }
    case 'pick':
      return session.pick(request.ask.query, task)
    default:
      return session.save(request.ask)
  }
}

/** Images, which may have 30 million pixels; the rest is small. */
function transfersOf(answer: object): Transferable[] {
  if ('bitmap' in answer) return [answer.bitmap as ImageBitmap]
  if ('mask' in answer) return [(answer as AnswerFacts).mask.data.buffer]
  return []
}

function post(message: FromWorker, transfer: Transferable[] = []): void {
  // In a worker this is the worker's own; the types at hand are a window's
  globalThis.postMessage(message, { transfer })
}
