// The allow-list: every global that a pickle may name, and what it stands for.
//
// A pickle names functions of any library and says what to call them with; Python would import and call them. Here a
// name is looked up in this list and nowhere else, and what it is called with is kept as data.

import type { Dtype } from '../checkpoint/dtype.ts'

/**
 * - `dict`       called without arguments, an empty dictionary; with a dictionary, the same one
 * - `size`       called with a tuple, that tuple
 * - `tensor`     called with a storage and a shape, a tensor
 * - `parameter`  called with a tensor, that tensor
 * - `subclass`   called with one of the functions for tensors, a type and their arguments: what that function returns
 * - `other`      called with anything, a value that is passed over
 * - `word`       never called
 */
export type Role = 'dict' | 'size' | 'tensor' | 'parameter' | 'subclass' | 'other' | 'word'

/** Types of the elements, by the names of their storages. */
export const STORAGES: ReadonlyMap<string, Dtype> = new Map([
  ['torch.DoubleStorage', 'F64'],
  ['torch.FloatStorage', 'F32'],
  ['torch.HalfStorage', 'F16'],
  ['torch.BFloat16Storage', 'BF16'],
  ['torch.LongStorage', 'I64'],
  ['torch.IntStorage', 'I32'],
  ['torch.ShortStorage', 'I16'],
  ['torch.CharStorage', 'I8'],
  ['torch.ByteStorage', 'U8'],
  ['torch.BoolStorage', 'BOOL'],
  ['torch.ComplexFloatStorage', 'C64'],
])

/** A storage whose tensors say what their elements are, by its names in several versions. */
export const UNTYPED: readonly string[] = [
  'torch.storage.UntypedStorage',
  'torch.storage._UntypedStorage',
  'torch.UntypedStorage',
  'torch._UntypedStorage',
]

/** Types of the elements, by their own names. */
export const DTYPES: ReadonlyMap<string, Dtype> = new Map([
  ['torch.float64', 'F64'],
  ['torch.float32', 'F32'],
  ['torch.float16', 'F16'],
  ['torch.bfloat16', 'BF16'],
  ['torch.float8_e5m2', 'F8_E5M2'],
  ['torch.float8_e4m3fn', 'F8_E4M3'],
  ['torch.float8_e5m2fnuz', 'F8_E5M2FNUZ'],
  ['torch.float8_e4m3fnuz', 'F8_E4M3FNUZ'],
  ['torch.float8_e8m0fnu', 'F8_E8M0'],
  ['torch.int64', 'I64'],
  ['torch.int32', 'I32'],
  ['torch.int16', 'I16'],
  ['torch.int8', 'I8'],
  ['torch.uint64', 'U64'],
  ['torch.uint32', 'U32'],
  ['torch.uint16', 'U16'],
  ['torch.uint8', 'U8'],
  ['torch.bool', 'BOOL'],
  ['torch.complex64', 'C64'],
])

/** Types of PyTorch that safetensors has no word for: a file may name them, and their tensors are refused. */
const WITHOUT_WORD = ['torch.ComplexDoubleStorage', 'torch.complex128', 'torch.complex32']

const CALLED: readonly (readonly [name: string, role: Role])[] = [
  ['collections.OrderedDict', 'dict'],
  ['collections.Counter', 'dict'],
  ['torch.Size', 'size'],
  ['torch._utils._rebuild_tensor', 'tensor'],
  ['torch._utils._rebuild_tensor_v2', 'tensor'],
  ['torch._utils._rebuild_tensor_v3', 'tensor'],
  ['torch._utils._rebuild_parameter', 'parameter'],
  ['torch._utils._rebuild_parameter_with_state', 'parameter'],
  ['torch._tensor._rebuild_from_type_v2', 'subclass'],
  ['torch.device', 'other'],
  ['torch.serialization._get_layout', 'other'],
  ['_codecs.encode', 'other'],
  ['builtins.set', 'other'],
  ['builtins.bytearray', 'other'],
  ['builtins.complex', 'other'],
  ['__builtin__.set', 'other'],
  ['__builtin__.bytearray', 'other'],
  ['__builtin__.complex', 'other'],
]

const WORDS = [
  ...STORAGES.keys(),
  ...DTYPES.keys(),
  ...UNTYPED,
  ...WITHOUT_WORD,
  'torch.storage.TypedStorage',
  'torch.storage._TypedStorage',
  'torch.Tensor',
  'torch.nn.parameter.Parameter',
]

/** The role of every global that may be named: 'module.name'. */
export const GLOBALS: ReadonlyMap<string, Role> = new Map([
  ...CALLED,
  ...WORDS.map((name): [string, Role] => [name, 'word']),
])
