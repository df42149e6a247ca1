// A whole checkpoint of random weights that is small enough to load in a moment, and pictures for it.

import type { Image } from '../../../src/io/image/image.ts'
import { writeSafetensors } from '../../../src/io/safetensors.ts'
import { parseConfig } from '../../../src/model/checkpoint/config.ts'
import { parameters } from '../../../src/model/checkpoint/parameters.ts'
import { readFixture } from '../../fixtures/golden.ts'
import { counterBytes, weightTensor } from '../../fixtures/random.ts'

interface CheckpointOptions {
  /** Include the flow's tensors. */
  flow?: boolean
  /** More names, of tensors that nobody knows. */
  unknown?: string[]
  maxTokens?: number
  /** Rows that the language model reads; by default as many as a prompt may need. */
  positions?: number
  /** The tasks that it was trained on; those of sentences by default. */
  tasks?: string[]
  /** More of config.json. */
  config?: object
  /** Changes weights, by name. */
  edit?: (name: string, values: Float32Array) => void
  /** The language model, with the chat's tokens that it needs. */
  type?: keyof typeof CHATS
  /** Tie the language model's head to the embedding; by default as that model is published. */
  tied?: boolean
  /** Store a head of its own. */
  head?: boolean
  /** Rows of the embedding: by default as many as there are tokens. */
  vocab?: number
}

const HEAD = 'llm.lm_head.weight'

/** An `edit`: gates let vision through alone, C learns nothing, nothing is refined. The flow is then the baseline. */
export function saturate(name: string, values: Float32Array): void {
  if (name.includes('semantic_gate.weight') || name.includes('condition_attn.out_proj')) values.fill(0)
  if (name.includes('semantic_gate.bias')) values.fill(30)
  if (name.endsWith('boundary_refiner.alpha')) values.fill(0)
}

/** The chat's tokens. */
const CHATS = {
  qwen3: ['<|im_start|>', '<|im_end|>'],
  phi3: ['<s>', '<|user|>', '<|assistant|>', '<|end|>'],
} as const
const CONFIGS = { qwen3: 'small', phi3: 'small-phi3' } as const

/** Every byte a token, then the chat's, words that nobody writes, and FlowSeg's own: 261 in all with Qwen3's. */
function tokenizerJson(type: keyof typeof CHATS, vocab: number): string {
  // Byte-level BPE spells bytes that aren't printable as the characters from 256 on
  const printable = (b: number) => (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174
  let next = 256
  const bytes = Array.from({ length: 256 }, (_, b) => String.fromCharCode(printable(b) ? b : next++))
  const chat = CHATS[type].map((content, i) => ({ id: 256 + i, content }))
  const own = ['<SEG>', '<p>', '</p>'].map((content, i) => ({ id: vocab - 3 + i, content }))
  const words = Array.from({ length: vocab - 3 - 256 - chat.length }, (_, i) => `word${i}`)
  const added = [...chat, ...own].map((token) => ({
    ...token,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }))
  const tokens = [...bytes.entries(), ...words.map((word, i) => [256 + chat.length + i, word] as const)].map(
    ([id, token]) => [token, id] as const,
  )
  const level = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
  return JSON.stringify({
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: level,
    post_processor: null,
    decoder: level,
    model: { type: 'BPE', vocab: Object.fromEntries(tokens), merges: [] },
  })
}

/** A checkpoint as files that somebody chose. */
export function smallCheckpoint({
  flow = true,
  unknown = [],
  maxTokens = 167,
  positions = 32 + maxTokens,
  tasks,
  config = {},
  edit = () => undefined,
  type = 'qwen3',
  tied = type === 'qwen3',
  head = !tied,
  vocab = 256 + CHATS[type].length + 3,
}: CheckpointOptions = {}): File[] {
  const json = readFixture(`${CONFIGS[type]}.json`) as { llm: object; prompt: object }
  const llm = { ...json.llm, vocab, tied, maxPositions: positions }
  const small = { ...json, ...(tasks && { tasks }), ...config, llm, prompt: { ...json.prompt, maxTokens } }
  const known = parameters(parseConfig(small, 'config.json')).filter(
    (p) => (p.used && (flow || !p.flow)) || (head && p.name === HEAD),
  )
  const tensors = [...known, ...unknown.map((name) => ({ name, shape: [2] }))].map(({ name, shape }) => {
    const values = weightTensor(name, shape)
    edit(name, values)
    return { name, dtype: 'F32' as const, shape, bytes: new Uint8Array(values.buffer) }
  })
  return [
    new File([JSON.stringify(small)], 'config.json'),
    new File([tokenizerJson(type, vocab)], 'tokenizer.json'),
    new File(['{"tokenizer_class": "PreTrainedTokenizerFast"}'], 'tokenizer_config.json'),
    new File([writeSafetensors(tensors)], 'model.safetensors'),
  ]
}

export function picture(width: number, height: number): Image {
  return { width, height, rgb: counterBytes(`picture ${width} ${height}`, [height, width, 3]) }
}
