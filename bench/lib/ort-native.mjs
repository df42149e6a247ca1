// onnxruntime-node, with one execution provider. It takes and gives host memory: with a GPU provider, a run includes
// the upload of the activations and the readback of the result, as there is no way to leave them on the device.

import { NAMES, waysOf } from './ort.mjs'
import { fromF16 } from './random.mjs'

export function nativeEngine(ort, providerOf, extra) {
  return (spec, inputs) =>
    waysOf(
      spec,
      inputs,
      (model, graph) => {
        if (graph.shared) throw new Error('onnxruntime-node binds no buffers')
        return ort.InferenceSession.create(model, {
          executionProviders: [providerOf(graph)],
          intraOpNumThreads: 2,
          logSeverityLevel: 3,
          extra: { session: { force_spinning_stop: '1', ...extra } },
        })
      },
      (session, graph) => {
        const feeds = Object.fromEntries(
          Object.entries(graph.inputs).map(([name, { shape, type, data }]) => [
            name,
            new ort.Tensor(NAMES[type], data, shape),
          ]),
        )
        const [first] = Object.keys(graph.outputs)
        return {
          async run(repeat) {
            for (let i = 0; i < repeat; i++) await session.run(feeds, [first])
          },
          async read() {
            const { data, type } = (await session.run(feeds, [first]))[first]
            return type === 'float16'
              ? fromF16(new Uint16Array(data.buffer, data.byteOffset, data.length))
              : data
          },
          release: () => session.release(),
        }
      },
    )
}
