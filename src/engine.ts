// The types of the DOM and of `using` come along: in a project that leaves them out, what we take would be any.
/// <reference lib="dom" preserve="true" />
/// <reference lib="dom.iterable" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />

// The tensor engine without the model: `import { openGpu, plan, matmul } from 'flowseg/engine'`.
//
// Open a Gpu, record a plan of ops on tensors, run it as often as you like. An op of your own is a WGSL body
// (`kernel`) and a function that checks shapes and records a dispatch (`record`), as in examples/own-op.

export * from './errors.ts'
export type { Features } from './gpu/adapter.ts'
export { Gpu, type OpenOptions, openGpu } from './gpu/gpu.ts'
export { type Constants, type Kernel, ownKernel as kernel } from './gpu/kernel.ts'
export type { MemoryReport } from './gpu/memory.ts'
export type { DispatchInfo, PlanInfo } from './gpu/plan/plan.ts'
export type { Param, Workgroups } from './gpu/recorder.ts'
export type { Identity, Tuned } from './gpu/tuned.ts'
export type { WeightLayout } from './kernels/packed.ts'
export { type AttentionBias, type AttentionOptions, attention, maskBits } from './ops/attention/attention.ts'
export { type DeformableOptions, deformableAttention } from './ops/attention/deformable.ts'
export { type RopeOptions, rope } from './ops/attention/rope.ts'
export { type Conv2dOptions, conv2d } from './ops/conv/conv.ts'
export type { Activation } from './ops/elementwise/activation.ts'
export { activate, add, greater, mix, mul, sub, swiglu } from './ops/elementwise/elementwise.ts'
export { cosineLogits } from './ops/head/cosine.ts'
export { type SampleRegionsOptions, sampleRegions } from './ops/head/sample-regions.ts'
export { dilate, erode } from './ops/image/morphology.ts'
export { resize } from './ops/image/resize.ts'
export { copyRows, gather } from './ops/layout/gather.ts'
export {
  concatColumns,
  concatRows,
  depthToSpace,
  joinWindows,
  sliceRows,
  spaceToDepth,
  splitWindows,
  transpose,
} from './ops/layout/layout.ts'
export { gatedLinear, type LinearOptions, linear, type MatmulOptions, matmul } from './ops/matmul/matmul.ts'
export { groupNorm, layerNorm, rmsNorm } from './ops/norm/norm.ts'
export { argmax, maxLast, meanRows, meanSpans, normalizeRows, softmax, sumLast } from './ops/reduce/reduce.ts'
export type { Progress, TaskOptions } from './progress.ts'
export { type KernelCase, type KernelTest, kernelCase } from './selftest/case.ts'
export { OP_FAMILIES, type OpFamily } from './selftest/families.ts'
export { groupResults, type ResultGroup } from './selftest/groups.ts'
export type { SelfTestOptions } from './selftest/options.ts'
export type { HostTensor, Random, WeightType } from './selftest/random.ts'
export type { KernelResult, NeverRan, SelfTestSummary } from './selftest/results.ts'
export { selfTest } from './selftest/self-test.ts'
export {
  type Inputs,
  type Outputs,
  type Plan,
  plan,
  type RunResult,
  type RunValues,
  type Tensors,
} from './tensor/plan.ts'
export {
  type AllocateOptions,
  allocate,
  type Columns,
  columns,
  type DispatchOf,
  type DType,
  expectShape,
  expectType,
  firstDim,
  type HostArray,
  lastDim,
  param,
  record,
  release,
  reshape,
  rowsOf,
  type Shape,
  type SizeValue,
  scope,
  type Tensor,
  tensor,
  upload,
} from './tensor/tensor.ts'
export type { CandidateReport, ClassReport, Tuning, WeightsReport } from './tuning/report.ts'
export { type Build, type TuneOptions, tune } from './tuning/tune.ts'
