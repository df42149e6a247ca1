// A Gpu that only counts: buffers and textures go onto its ledger, and nothing is allocated, compiled or computed.
//
// The memory that a model will take is learnt by running the same code that takes it. A second account of what is
// allocated where would be a few lines shorter, and wrong after the next change of a plan.

import { Gpu } from './gpu.ts'

const nothing = (): void => undefined
const nobody = async (): Promise<null> => null

/** @param like the device whose limits, features and choices of kernels count */
export function dryGpu(like: Gpu): Gpu {
  return Gpu.dry(dryDevice(like.device), like)
}

function dryDevice({ limits, features, adapterInfo }: GPUDevice): GPUDevice {
  const pass = { setPipeline: nothing, setBindGroup: nothing, dispatchWorkgroups: nothing, end: nothing }
  const encoder = {
    beginComputePass: () => pass,
    copyBufferToBuffer: nothing,
    finish: () => ({}),
  }
  const device = {
    limits,
    features,
    adapterInfo,
    lost: new Promise<never>(nothing),
    queue: { writeBuffer: nothing, writeTexture: nothing, submit: nothing, onSubmittedWorkDone: nobody },
    pushErrorScope: nothing,
    popErrorScope: nobody,
    addEventListener: nothing,
    removeEventListener: nothing,
    destroy: nothing,
    createBuffer: ({ size }: GPUBufferDescriptor) => ({
      size,
      destroy: nothing,
      mapAsync: nobody,
      unmap: nothing,
      getMappedRange: (offset = 0, bytes = size - offset) => new ArrayBuffer(bytes),
    }),
    createTexture: ({ size: [width = 0, height = 0] }: { readonly size: readonly number[] }) => ({
      width,
      height,
      destroy: nothing,
      createView: () => ({}),
    }),
    createShaderModule: () => ({}),
    createBindGroupLayout: () => ({}),
    createPipelineLayout: () => ({}),
    createBindGroup: () => ({}),
    createComputePipelineAsync: async () => ({}),
    createCommandEncoder: () => encoder,
  }
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- as much of a device as models and plans ask for
  return device as unknown as GPUDevice
}
