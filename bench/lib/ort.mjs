// The three onnxruntime engines share this: a case's graphs become sessions, a run is session.run.

import { onnxModel } from './onnx.mjs'
import { graphsOf } from './onnx-graphs.mjs'

/** onnxruntime's names of types. */
export const NAMES = { f32: 'float32', f16: 'float16', u8: 'uint8', i32: 'int32', i64: 'int64', bool: 'bool' }

/**
 * @param spec, inputs   a case
 * @param createSession  from a model and a graph
 * @param bind           makes of a session and a graph what runs it: { run(repeat, wait), read(), release() }
 */
export function waysOf(spec, inputs, createSession, bind) {
  return graphsOf(spec, inputs).map((graph) => {
    let bound
    // A session is made when it is first run: two of the largest need not be held at once
    const ready = async () => {
      bound ??= bind(await createSession(onnxModel(graph), graph), graph)
      return bound
    }
    return {
      label: graph.label,
      run: async (repeat, wait) => (await ready()).run(repeat, wait),
      read: async () => {
        const values = await (await ready()).read()
        return (place) => values[graph.pick(place)]
      },
      release: async () => {
        await bound?.release()
        bound = undefined
      },
    }
  })
}
