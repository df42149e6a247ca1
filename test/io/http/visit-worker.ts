// A worker that makes one visit, and says what came of it.

import { type VisitOptions, visit } from './visit.ts'

addEventListener('message', ({ data }: MessageEvent<VisitOptions>) => {
  void visit(data).then((outcome) => globalThis.postMessage(outcome, { transfer: [] }))
})
