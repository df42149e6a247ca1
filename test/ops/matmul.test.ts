// linear and matmul equal their formulas on every adapter of this machine, bit for bit the same each time.

import { describe, expect, test } from 'vitest'
import { ShapeError } from '../../src/errors.ts'
import { ACTIVATIONS, type Activation } from '../../src/ops/activation.ts'
import { Gpu } from '../../src/gpu/gpu.ts'
import { chooseTile, linear, matmul } from '../../src/ops/matmul.ts'
import { plan, release, type Tensor, upload } from '../../src/ops/tensor.ts'
import { activationReference, asF16, linearReference, matmulReference } from './matmul-reference.ts'
import { adapters, evaluate, expectClose, expectSameBits, planOf, random, relativeError, toBf16 } from '../support.ts'
