// The types of the DOM and of `using` come along: in a project that leaves them out, what we take would be any.
/// <reference lib="dom" preserve="true" />
/// <reference lib="dom.iterable" preserve="true" />
/// <reference lib="esnext.disposable" preserve="true" />

// The public door. What isn't exported here may change freely.

export * from './errors.ts'
export { Gpu, type OpenOptions, openGpu } from './gpu/gpu.ts'
export type { MemoryReport } from './gpu/memory.ts'
export type { PlanInfo } from './gpu/plan/plan.ts'
export type { Identity, Tuned } from './gpu/tuned.ts'
export { type CachedFile, cachedWeights, clearCachedWeights } from './io/cache/block-cache.ts'
export type { Checkpoint, ReadOptions, Slice, TensorEntry } from './io/checkpoint/checkpoint.ts'
export type { Dtype } from './io/checkpoint/dtype.ts'
export { type Chosen, chosenFiles } from './io/chosen.ts'
export { EMBEDDED } from './io/embedded.ts'
export {
  type CachePlace,
  type Folder,
  type FolderLocation,
  type FolderOptions,
  openFolder,
} from './io/folder.ts'
export { type DecodeOptions, decodeImage, encodePng, type Image, type PngPixels } from './io/image/image.ts'
export { type OpenCheckpointOptions, openCheckpoint } from './io/open-checkpoint.ts'
export { type OpenSafetensorsOptions, openSafetensors } from './io/safetensors.ts'
export { type ByteRange, type Source, UnreachableError } from './io/source.ts'
export type { Tokenizer } from './io/text/tokenizer.ts'
export type { Quantized } from './kernels/quantize.ts'
export { decodeBrush, encodeBrush } from './masks/brush.ts'
export { type CocoBox, cocoBox, decodeCoco } from './masks/coco.ts'
export { colourOf } from './masks/colours.ts'
export { type PolygonOptions, polygonsOf } from './masks/contour.ts'
export { fromGeoJson, type MaskFeature, toGeoJson } from './masks/geojson.ts'
export { decodeIndexedPng, encodeIndexedPng, type IndexedMasks } from './masks/indexed-png.ts'
export {
  type BrushValue,
  fromLabelStudio,
  type LabelledMask,
  type LabelStudioOptions,
  type LabelStudioResult,
  type PolygonValue,
  toLabelStudio,
} from './masks/label-studio.ts'
export type { Mask, MaskPixels, PixelLimit, Size } from './masks/mask.ts'
export {
  type Box,
  boxOf,
  type CutOut,
  type CutOutOptions,
  cutOut,
  outline,
  overlay,
  type Rgb,
  tint,
} from './masks/picture.ts'
export {
  type Point,
  type Polygon,
  type RasterOptions,
  type Ring,
  rasterizePolygons,
} from './masks/polygon.ts'
export {
  type CompressedRle,
  decodeRle,
  encodeRle,
  type Rle,
  type RleOptions,
  type UncompressedRle,
} from './masks/rle.ts'
export { fromSvgPath, toSvgPath } from './masks/svg-path.ts'
export { fromYolo, toYolo, type YoloObject } from './masks/yolo.ts'
export {
  type BoundaryConfig,
  type Config,
  type ConnectorConfig,
  type FlowConfig,
  type HeadConfig,
  type LlmConfig,
  type PromptConfig,
  parseConfig,
  type SamConfig,
  type SiglipConfig,
  type Vision,
} from './model/checkpoint/config.ts'
export {
  type Parameter,
  type ParameterComponent,
  type ParameterKind,
  parameters,
} from './model/checkpoint/parameters.ts'
export {
  type KnowsConfig,
  type PresenceConfig,
  type RegionConfig,
  type TaskName,
  type WorldConfig,
} from './model/checkpoint/task-config.ts'
export {
  type AllSegmentation,
  type Answer,
  type AnswerEnd,
  type AnswerFlow,
  type AnswerPart,
  type AskOptions,
  type Candidate,
  type Category,
  type CategoryAnswers,
  type CategoryFlow,
  type CategoryInstance,
  type CategoryKind,
  type CategoryList,
  type CategoryMode,
  type CategoryOptions,
  type CategoryRows,
  type CategoryWording,
  type FlowLayer,
  FlowSeg,
  type GroundedPhrase,
  type ImageInput,
  type Instance,
  type InstanceMap,
  type LabelMap,
  type LoadOptions,
  type LookOptions,
  type MaskBuffer,
  type MaskOptions,
  type MaskOutput,
  type Masks,
  type MaskTexture,
  type PanopticMap,
  type PanopticSegment,
  type PhraseRows,
  type RefinedMask,
  type RegionAnswer,
  type RegionFlow,
  type RegionInstance,
  type RegionInstances,
  type RegionOptions,
  type RegionPromptOptions,
  type RegionRows,
  type RegionSegmentation,
  type RgbaImage,
  type SamplingOptions,
  Scene,
  type Segment,
  type Segmentation,
  type SegmentOptions,
  type SemanticMap,
  type SemanticSegment,
  type Times,
} from './model/flowseg.ts'
export type { Mat3 } from './model/input/preprocess.ts'
export type { Region, RegionMask } from './model/input/region.ts'
export { type CaveatFields, type Caveats, caveatFields } from './model/knows/caveats.ts'
export { KnownWords } from './model/knows/words.ts'
export type { ImageWorld } from './model/knows/world.ts'
export type { Match } from './model/matching.ts'
export { clearTuned, loadTuned, saveTuned, type TunedCacheOptions } from './model/tuned-cache.ts'
export { printable, quoted, slug } from './printable.ts'
export type { Progress, TaskOptions, Waiting } from './progress.ts'
export type { CandidateReport, ClassReport, Tuning, WeightsReport } from './tuning/report.ts'
export type { TuneOptions } from './tuning/tune.ts'
