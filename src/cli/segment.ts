// flowseg segment: one image, one sentence, one mask.

import { join } from 'node:path'
import { encodePng, type Image } from '../io/image.ts'
import type { Mask, Segmentation } from '../model/flowseg.ts'
import { boxOf, overlay } from '../model/picture.ts'
import { type Command, expectOperands, type Given, type Page, SHARED, UsageError } from './args.ts'
import { Drafts, expectApart, readImage, slug, stem } from './files.ts'
import { flowFiles, flowNames, SHEET } from './flow.ts'
import { checkSentence, loadModel } from './model.ts'
import { preview } from './preview.ts'
import { ProgressLine } from './progress-line.ts'
import { grouped, painter, type Terminal } from './terminal.ts'

const page: Page = {
  name: 'segment',
  operands: 'IMAGE "SENTENCE"',
  summary: 'find in an image what a sentence means',
  details:
    'Writes the image with the object outlined. IMAGE is a PNG or JPEG file. Words after it are one sentence, ' +
    'with or without quotes. When anything fails, no file is written.',
  options: {
    out: { value: 'FILE', help: 'the outlined image; by default IMAGE-SENTENCE.png in the current folder' },
    mask: { value: 'FILE', help: 'also write the mask: a grey PNG of the same size, 255 inside, 0 outside' },
    flow: {
      value: 'DIR',
      help: 'also write what happened in every layer: flow.png, flow.json, a PNG a layer',
    },
    task: { value: 'KIND', help: 'referring (an object is named) or reasoning (it must be inferred)' },
    weights: SHARED.weights,
    quantize: SHARED.quantize,
    adapter: SHARED.adapter,
    'no-tune': SHARED['no-tune'],
    json: SHARED.json,
  },
  examples: [
    ['segment photo.jpg "the red mug left of the laptop"', 'writes photo-the-red-mug-left-of-the-laptop.png'],
    ['segment photo.jpg "what you drink from" --task reasoning --mask mug.png', 'also writes the mask'],
    ['segment photo.png "the cat" --flow flow/', 'also shows layer by layer how it was found'],
    ['segment photo.png "the cat" --json', 'score, box, area, times and all candidates, for programs'],
  ],
}

export const segment: Command = { page, run }

async function run(given: Given, terminal: Terminal): Promise<number> {
  // 1. What is asked
  if (given.operands.length < 2) expectOperands(page, given, 2)
  const [file = '', ...words] = given.operands
  const sentence = words.join(' ')
  const task = given.oneOf('task', ['referring', 'reasoning'])
  const out = given.text('out') ?? `${stem(file)}-${slug(sentence)}.png`
  const maskFile = given.text('mask')
  const flowFolder = given.text('flow')
  for (const name of [out, maskFile]) {
    if (name && !/\.png$/i.test(name))
      throw new UsageError(`${name}: only PNG is written. Let it end in .png.`)
  }
  const image = await readImage(file, terminal)
  const config = await checkSentence(sentence, { task }, given, terminal)
  const flowPaths = flowFolder === undefined ? [] : flowNames(config).map((name) => join(flowFolder, name))
  await expectApart(file, [out, ...(maskFile ? [maskFile] : []), ...flowPaths], terminal)

  // 2. The answer
  const progress = new ProgressLine(terminal)
  const model = await loadModel(given, terminal, progress)
  try {
    const options = { onProgress: progress.on, signal: terminal.signal }
    const scene = await model.look(image, options)
    try {
      const flow = flowFolder !== undefined
      const result = await scene.segment(sentence, { ...options, flow, task })
      progress.clear()

      // 3. All files, or none
      const drafts = new Drafts(terminal)
      const picture = overlay(image, result.mask)
      const files = {
        overlay: drafts.add(out, encodePng(picture)),
        mask: maskFile === undefined ? null : drafts.add(maskFile, encodePng(greyMask(result.mask))),
        flow: flowFolder ?? null,
      }
      if (flowFolder !== undefined) {
        for (const { name, contents } of flowFiles(image, result, config)) {
          drafts.add(join(flowFolder, name), contents)
        }
      }
      await drafts.commit()

      if (given.has('json')) {
        terminal.out.write(`${JSON.stringify(accountOf(file, result, files))}\n`)
      } else {
        const shown = { overlay: out, mask: maskFile, flow: flowFolder && join(flowFolder, SHEET) }
        tell(picture, result, shown, model.gpu.name, terminal)
      }
      return 0
    } finally {
      scene.close()
    }
  } finally {
    progress.clear()
    model.close()
  }
}

/** 255 inside, 0 outside. */
export function greyMask({ width, height, data }: Mask): { width: number; height: number; grey: Uint8Array } {
  return { width, height, grey: data.map((bit) => 255 * bit) }
}

/** What `--json` prints. */
function accountOf(
  image: string,
  { sentence, score, query, mask, times, candidates }: Segmentation,
  files: { readonly overlay: string; readonly mask: string | null; readonly flow: string | null },
): object {
  return {
    image,
    sentence,
    score,
    query,
    area: mask.area,
    box: boxOf(mask),
    times,
    candidates: candidates.map(({ query, score }) => ({ query, score })),
    ...files,
  }
}

function tell(
  picture: Image,
  { sentence, score, mask, times }: Segmentation,
  files: Readonly<Record<string, string | undefined>>,
  adapter: string,
  { out }: Terminal,
): void {
  const paint = painter(out)
  const share = (100 * mask.area) / (mask.width * mask.height)
  const lines = [
    ...preview(picture, out),
    paint('bold', sentence),
    `  score    ${score.toFixed(3)}`,
    `  area     ${grouped(mask.area)} pixels, ${share.toFixed(1)} % of the image`,
    `  time     ${timesText(times)}   ${paint('dim', adapter)}`,
    ...Object.entries(files).flatMap(([name, file]) => (file ? [`  ${name.padEnd(8)} ${file}`] : [])),
    ...(mask.area === 0
      ? ['  Nothing in the image reached a probability of one half: the mask is empty.']
      : []),
  ]
  out.write(`${lines.join('\n')}\n`)
}

export function timesText({ look, read, segment }: Segmentation['times']): string {
  const ms = (value: number): string => `${value < 10 ? value.toFixed(1) : value.toFixed(0)} ms`
  return `look ${ms(look)}, read ${ms(read)}, segment ${ms(segment)}`
}
