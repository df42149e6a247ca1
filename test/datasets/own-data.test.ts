// Data of one's own: what each layout lists, and what is said of bad files before anything runs.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import sharp from 'sharp'
import { afterEach, describe, expect, test } from 'vitest'
import { checkFiles, readPicture } from '../../src/datasets/check-files.ts'
import { openOwnData } from '../../src/datasets/open-own-data.ts'
import type { OwnData } from '../../src/datasets/own-data.ts'
import { encodePng } from '../../src/io/image/image.ts'

const { signal } = new AbortController()
const folders: string[] = []
afterEach(() => folders.splice(0).forEach((folder) => rmSync(folder, { recursive: true })))

function folderOf(files: Readonly<Record<string, string | Uint8Array>>): string {
  const folder = mkdtempSync(join(tmpdir(), 'flowseg-data-'))
  folders.push(folder)
  for (const [name, contents] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true })
    writeFileSync(join(folder, name), contents)
  }
  return folder
}

function png(width: number, height: number): Uint8Array {
  return encodePng({ width, height, grey: new Uint8Array(width * height).fill(1) })
}

async function openAll(path: string, split?: string): Promise<OwnData> {
  const data = await openOwnData(path, 'the data', { split, images: undefined }, signal)
  if (!data) throw new Error('no layout')
  await checkFiles(data.pictures, 'the data', () => undefined, signal)
  return data
}

async function truthsOf({ pictures }: OwnData, size = { width: 4, height: 3 }): Promise<number[][]> {
  const truths = []
  for (const { questions } of pictures)
    for (const { truth } of questions) truths.push([...(await truth.read(size, signal)).mask])
  return truths
}

const IMAGES = { '1.png': png(4, 3), 'in/2.png': png(4, 3), 'wide.png': png(5, 3) }
const GOOD = { image: '1.png', sentence: 'it', mask: { size: [3, 4], counts: [3, 3, 6] } }

describe('JSON Lines', () => {
  const open = async (text: string, more = {}): Promise<OwnData> =>
    openAll(join(folderOf({ ...IMAGES, ...more, 'd.jsonl': text }), 'd.jsonl'))

  test('images, in the order of their first line, with their sentences, kinds and masks', async () => {
    const folder = folderOf(IMAGES)
    const lines = [
      { ...GOOD, image: 'in/2.png', kind: 'far', anything: [1] },
      GOOD,
      { ...GOOD, image: join(folder, 'in/2.png'), sentence: 'the other', kind: null, mask: 'in/2.png' },
    ]
    writeFileSync(
      join(folder, 'd.jsonl'),
      `\ufeff${lines.map((line) => JSON.stringify(line)).join('\r\n\n')}`,
    )
    const data = await openAll(join(folder, 'd.jsonl'))
    expect(data.pictures.map(({ name }) => name)).toEqual(['in/2.png', '1.png'])
    expect(data.pictures[0]!.questions).toMatchObject([
      { sentence: 'it', kind: 'far', place: 'line 1' },
      { sentence: 'the other', kind: undefined, place: 'line 5' },
    ])
    const column = [0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0]
    expect(await truthsOf(data)).toEqual([column, column.map(() => 1), column])
    // The fingerprint is that of the file
    expect((await openAll(join(folder, 'd.jsonl'))).fingerprint).toBe(data.fingerprint)
    writeFileSync(join(folder, 'd.jsonl'), JSON.stringify(GOOD))
    expect((await openAll(join(folder, 'd.jsonl'))).fingerprint).not.toBe(data.fingerprint)
  })

  const bad: [string, unknown, RegExp][] = [
    ['no JSON', '{"image": ', /^the data, line 2: it is no JSON: .*Each line is an object with "image"/],
    ['no object', [1], /line 2: it is \[1\], expected an object/],
    [
      'no image',
      { sentence: 'it', mask: '1.png' },
      /line 2: "image" is missing: there is "sentence", "mask"/,
    ],
    ['no sentence', { image: '1.png', mask: '1.png' }, /"sentence" is missing/],
    ['an empty sentence', { ...GOOD, sentence: '  ' }, /"sentence" is " {2}", expected a text/],
    ['a number for an image', { ...GOOD, image: 7 }, /"image" is 7, expected a text/],
    ['a kind that is no text', { ...GOOD, kind: 3 }, /"kind" is 3, expected a word or two/],
    [
      'a missing image',
      { ...GOOD, image: '7.png' },
      /line 2: the image 7\.png is not there\. Paths begin in the folder/,
    ],
    ['an image that is none', { ...GOOD, image: 'd.jsonl' }, /line 2: d\.jsonl is not an image/],
    [
      'an image of another size',
      { ...GOOD, image: 'wide.png' },
      /wide\.png has 5 x 3 pixels, and the mask 4 x 3\./,
    ],
    [
      'a mask that lies on its side',
      { ...GOOD, mask: { size: [4, 3], counts: [12] } },
      /Perhaps one of them is turned/,
    ],
    ['an ignored part of another size', { ...GOOD, ignore: 'wide.png' }, /the ignored part 5 x 3/],
    ['no mask', { image: '1.png', sentence: 'it' }, /"mask" is missing\. It takes the path of a PNG, an RLE/],
    ['an unknown form', { ...GOOD, mask: 5 }, /"mask" is 5\. It takes/],
    ['another unknown form', { ...GOOD, mask: { box: [1, 2] } }, /"mask" is an object\. It takes/],
    ['a mask that is not there', { ...GOOD, mask: '8.png' }, /the mask 8\.png is not there/],
    ['a mask that is no PNG', { ...GOOD, mask: 'd.jsonl' }, /the mask d\.jsonl is no PNG/],
    ['a mask with alpha', { ...GOOD, mask: 'alpha.png' }, /alpha\.png has an alpha channel/],
    ['an empty path', { ...GOOD, mask: '' }, /"mask" is an empty path/],
    [
      'counts that are too few',
      { ...GOOD, mask: { size: [3, 4], counts: [3, 3] } },
      /"mask" can't be read: .*add up to 6/,
    ],
    ['counts that are no numbers', { ...GOOD, mask: { size: [3, 4], counts: [3, -1, 10] } }, /count 1 is -1/],
    [
      'a string of counts with a bad end',
      { ...GOOD, mask: { size: [3, 4], counts: 'P' } },
      /ends in the middle/,
    ],
    ['a size that is none', { ...GOOD, mask: { size: [3], counts: [12] } }, /the size is \[3\]/],
    ['a huge size', { ...GOOD, mask: { size: [1e6, 1e6], counts: [1e12] } }, /the limit is 64 megapixels/],
    ['no polygon', { ...GOOD, mask: [] }, /"mask" has no polygon/],
    [
      'numbers for polygons',
      { ...GOOD, mask: [0, 0, 4, 0, 4, 3] },
      /polygon 1 of "mask" is 0, .*a list of lists/,
    ],
    [
      'points for numbers',
      {
        ...GOOD,
        mask: [
          [
            [0, 0],
            [4, 0],
            [4, 3],
          ],
        ],
      },
      /polygon 1 of "mask" holds something/,
    ],
    [
      'two points',
      { ...GOOD, mask: [[0, 0, 4, 0]] },
      /has 4 numbers\. It takes x and y of at least 3 points/,
    ],
    ['half a point', { ...GOOD, mask: [[0, 0, 4, 0, 4, 3, 1]] }, /has 7 numbers/],
    ['a coordinate far away', { ...GOOD, mask: [[0, 0, 1e9, 0, 4, 3]] }, /no coordinate/],
    ['a line twice', GOOD, /line 2: it is the same as line 1/],
  ]
  const alpha = encodePng({ width: 4, height: 3, rgba: new Uint8Array(48) })
  test.each(bad)('%s', async (_, line, message) => {
    const second = typeof line === 'string' ? line : JSON.stringify(line)
    const opened = open(`${JSON.stringify(GOOD)}\n${second}\n`, { 'alpha.png': alpha })
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_DATASET',
      message: expect.stringMatching(message),
    })
  })

  test('all faults are told at once, the first ten by name', async () => {
    const lines = Array.from({ length: 13 }, (_, i) => JSON.stringify({ ...GOOD, image: `no${i}.png` }))
    await expect(open(lines.join('\n'))).rejects.toThrow(
      /^the data has 13 faults:\n {2}line 1: the image no0\.png is not there.*\n {2}line 2: [^]*line 10: .*\n {2}and 3 others$/,
    )
  })

  test.each(['', '\n \n'])('an empty file: %j', async (text) => {
    await expect(open(text)).rejects.toThrow(
      'the data, the file: it has no line. Each looks like {"image": "1.jpg"',
    )
  })

  test('another encoding', async () => {
    const folder = folderOf({ 'd.jsonl': Uint8Array.of(0x22, 0xe9, 0x22) })
    await expect(openAll(join(folder, 'd.jsonl'))).rejects.toThrow('the file is not UTF-8')
  })
})

describe('RefCOCO', () => {
  const INSTANCES = {
    images: [
      { id: 5, file_name: '1.png', width: 4, height: 3 },
      { id: 6, file_name: 'in/2.png', width: 4, height: 3 },
    ],
    annotations: [
      { id: 50, image_id: 5, area: 3, segmentation: { size: [3, 4], counts: [3, 3, 6] } },
      {
        id: 51,
        image_id: 5,
        area: 6,
        segmentation: [
          [0, 0, 1, 0, 1, 3, 0, 3],
          [3, 0, 4, 0, 4, 3, 3, 3],
        ],
      },
      { id: 60, image_id: 6, area: 12, segmentation: { size: [3, 4], counts: [0, 12] } },
    ],
  }
  const REFS = [
    ref(1, 51, 5, 'testA', [
      [12, 'Left'],
      [13, 'left'],
      [10, 'both'],
    ]),
    ref(2, 60, 6, 'val', [[14, 'all']]),
    ref(3, 50, 5, 'testA', [[11, 'left']]),
    ref(4, 60, 6, 'testB', [[15, 'everything']]),
  ]
  function ref(
    id: number,
    annotation: number,
    image: number,
    split: string,
    sentences: [number, string][],
  ): object {
    return {
      ref_id: id,
      ann_id: annotation,
      image_id: image,
      split,
      sentences: sentences.map(([sent_id, sent]) => ({ sent_id, sent, tokens: sent.split(' ') })),
    }
  }
  const filesOf = (
    refs: unknown = REFS,
    instances: unknown = INSTANCES,
  ): Record<string, string | Uint8Array> => ({
    'images/1.png': png(4, 3),
    'images/in/2.png': png(4, 3),
    'refs(unc).json': JSON.stringify(refs),
    'instances.json': JSON.stringify(instances),
  })

  test('a split: sentences in the order of their ids, once per object', async () => {
    const data = await openAll(folderOf(filesOf()), 'testA')
    expect(data.pictures).toHaveLength(1)
    expect(data.pictures[0]!.questions.map(({ sentence }) => sentence)).toEqual(['both', 'left', 'Left'])
    expect(data.notes).toEqual(['1 sentences repeat another about the same object, and count once.'])
    const [both, column] = [
      [1, 0, 0, 1, 1, 0, 0, 1, 1, 0, 0, 1],
      [0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0],
    ]
    expect(await truthsOf(data)).toEqual([both, column, both])
    expect([...(await data.pictures[0]!.largest!.read({ width: 4, height: 3 }, signal))]).toEqual(both)
    const test = await openAll(folderOf(filesOf()), 'test')
    expect(test.pictures.map(({ name }) => name)).toEqual(['1.png', 'in/2.png'])
  })

  test('a photograph that EXIF turns is taken as it is stored; JSON Lines take it upright', async () => {
    const options = { raw: { width: 4, height: 3, channels: 3 as const } }
    const jpeg = await sharp(new Uint8Array(36), options).jpeg().withMetadata({ orientation: 6 }).toBuffer()
    const { images, ...instances } = INSTANCES
    const files = filesOf(REFS, {
      ...instances,
      images: images.map((one) => ({ ...one, file_name: 't.jpg' })),
    })
    const line = JSON.stringify({ ...GOOD, image: 'images/t.jpg' })
    const folder = folderOf({ ...files, 'images/t.jpg': jpeg, 'd.jsonl': line })
    const [picture] = (await openAll(folder, 'val')).pictures
    expect(await readPicture(picture!, signal)).toMatchObject({ width: 4, height: 3 })
    await expect(openAll(join(folder, 'd.jsonl'))).rejects.toThrow(
      'images/t.jpg has 3 x 4 pixels, and the mask 4 x 3. Perhaps one of them is turned: images are taken upright, as EXIF says.',
    )
  })

  test("COCO's polygons of two points beside good ones", async () => {
    const segmentation = [
      [0, 0, 1, 1],
      [0, 0, 4, 0, 4, 3, 0, 3],
    ]
    const bad = { id: 61, image_id: 6, area: 99, segmentation: [[1, 2]] }
    const annotations = [{ id: 60, image_id: 6, area: 12, segmentation }, bad]
    const data = await openAll(folderOf(filesOf(REFS, { ...INSTANCES, annotations })), 'val')
    const all = Array.from({ length: 12 }, () => 1)
    expect(await truthsOf(data)).toEqual([all])
    expect([...(await data.pictures[0]!.largest!.read({ width: 4, height: 3 }, signal))]).toEqual(all)
  })

  test.each([0, 1, 2, 3, 4, 5])(
    "references as Python's pickle writes them, protocol %i",
    async (protocol) => {
      const script = `import json,pickle,sys; sys.stdout.buffer.write(pickle.dumps(json.load(sys.stdin), ${protocol}))`
      const refs = [...REFS, ref(70_000, 60, 6, 'testA', [[2 ** 31, 'Ж "quoted" \\ it\'s\n€']])]
      const pickle = execFileSync('python3', ['-c', script], { input: JSON.stringify(refs) })
      const { 'refs(unc).json': _, ...files } = filesOf()
      const folder = folderOf({ ...files, 'refs(umd).p': pickle })
      const data = await openAll(folder, 'testA')
      expect(data.pictures[1]!.questions[0]!.sentence).toBe('Ж "quoted" \\ it\'s\n€')
      expect(data.pictures[0]!.questions).toHaveLength(3)
    },
  )

  test("Python 2's texts and numbers", async () => {
    const text = `(lp0\n(dp1\nS'ref_id'\np2\nI7\nsS'ann_id'\nL60L\nsS'image_id'\nI6\nsS'split'\nS"val"\nsS'sentences'\n(lp3\n(dp4\nS'sent_id'\nI01\nI00\nsS'x'\ng2\nsasa.`
    const pickle = text.replace(
      "S'sent_id'\nI01\nI00\ns",
      "S'sent_id'\nI3\nsS'sent'\nS'caf\\xc3\\xa9 it\\'s'\ns",
    )
    const { 'refs(unc).json': _, ...files } = filesOf()
    const data = await openAll(folderOf({ ...files, 'refs.p': pickle }))
    expect(data.pictures[0]!.questions[0]).toMatchObject({ sentence: "café it's", place: 'reference 7' })
  })

  const bad: [string, Record<string, string | Uint8Array>, string | undefined, RegExp][] = [
    [
      'no split',
      filesOf(),
      undefined,
      /^the data, which split\? It has testA, val and testB\. Choose one with --split\.$/,
    ],
    ['an unknown split', filesOf(), 'train', /there is no split train\. It has testA/],
    ['no references', { ...filesOf(), 'refs(unc).json': '[]' }, 'val', /refs\(unc\)\.json is an empty list/],
    [
      'two files of references',
      { ...filesOf(), 'refs(google).p': '' },
      'val',
      /several files .*Name one: flowseg eval/,
    ],
    ['broken references', { ...filesOf(), 'refs(unc).json': '[{' }, 'val', /refs\(unc\)\.json is no JSON/],
    [
      'a reference without an id',
      filesOf([{ ...REFS[1], ref_id: 'x' }]),
      'val',
      /entry 1 of refs\(unc\)\.json: "ref_id" is "x"/,
    ],
    [
      'a sentence without words',
      filesOf([ref(1, 60, 6, 'val', [[1, '']])]),
      'val',
      /"sent" of a sentence is ""/,
    ],
    ['no annotations', filesOf(REFS, { images: [] }), 'val', /lacks "images" or "annotations"/],
    [
      'an image that is not listed',
      filesOf(REFS, { ...INSTANCES, images: [] }),
      'val',
      /reference 2: instances\.json has no image 6/,
    ],
    [
      'an annotation that is not listed',
      filesOf([ref(2, 50, 6, 'val', [[1, 'x']])]),
      'val',
      /has no annotation 50 of image 6/,
    ],
    [
      'an image of another size',
      { ...filesOf(), 'images/in/2.png': png(5, 5) },
      'val',
      /in\/2\.png has 5 x 5 pixels, and its entry in instances\.json 4 x 3/,
    ],
    [
      'images elsewhere',
      { 'refs.json': JSON.stringify(REFS), 'instances.json': JSON.stringify(INSTANCES) },
      'val',
      /there is no image in\/2\.png in images, \. or .*--images DIR/,
    ],
    [
      'a bad mask',
      filesOf(REFS, {
        ...INSTANCES,
        annotations: [{ id: 60, image_id: 6, area: 1, segmentation: [[1, 2]] }],
      }),
      'val',
      /polygon 1 of the mask of annotation 60 has 2 numbers/,
    ],
    [
      'a pickle that calls',
      pickled("cos\nsystem\n(S'echo'\ntR."),
      'val',
      /refs\.p: it asks for "os\.system", .*nothing was executed\. Convert it: python -c/,
    ],
    ['a pickle that is cut short', pickled('(lp0\n(dp1\nS'), 'val', /it ends in the middle/],
    ['a pickle that is none', pickled('hello'), 'val', /can't be read as a pickle/],
    ['a pickle of something else', pickled('I7\n.'), 'val', /refs\.p is 7, expected a list/],
  ]
  function pickled(text: string): Record<string, string | Uint8Array> {
    const { 'refs(unc).json': _, ...files } = filesOf()
    return { ...files, 'refs.p': text }
  }
  test.each(bad)('%s', async (_, files, split, message) => {
    const opened = openAll(folderOf(files), split)
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_DATASET',
      message: expect.stringMatching(message),
    })
  })
})

describe('ReasonSeg', () => {
  const square = (label: string, x: number, y: number, side: number): object => ({
    label,
    points: [
      [x, y],
      [x + side, y],
      [x + side, y + side],
      [x, y + side],
    ],
  })
  const listing = (...shapes: object[]): string =>
    JSON.stringify({ text: ['where?', 'and why?'], is_sentence: true, shapes })
  const photo = png(8, 8)

  test('questions, targets, ignored parts and flags', async () => {
    const folder = folderOf({
      'b.jpg': photo,
      'b.json': listing(square('ignored', 2, 2, 1), square('target', 1, 1, 4), square('flag', 0, 0, 7)),
      'a.jpg': photo,
      'a.json': JSON.stringify({ text: ['what?'], is_sentence: false, shapes: [square('target', 6, 6, 5)] }),
      'c.jpg': photo,
      'c.json': listing(square('ignore', 0, 0, 3)),
    })
    const data = await openAll(folder)
    expect(data.pictures.map(({ name }) => name)).toEqual(['a.jpg', 'b.jpg'])
    expect(data.notes).toEqual(['1 of 3 photographs have no target, and are left out.'])
    const [first, second] = data.pictures
    expect(first!.questions).toMatchObject([{ sentence: 'what?', kind: 'phrase' }])
    expect(second!.questions).toMatchObject([
      { kind: 'sentence' },
      { sentence: 'and why?', kind: 'sentence' },
    ])
    const { mask, ignored } = await second!.questions[0]!.truth.read({ width: 8, height: 8 }, signal)
    const pixels = Array.from(mask, (one, i) => one || (ignored![i] ? 2 : 0))
    const rows = Array.from({ length: 8 }, (_, y) => pixels.slice(8 * y, 8 * y + 8).join(''))
    // Outlines belong to their shapes
    expect(rows).toEqual([
      '00000000',
      '01111100',
      '01221100',
      '01221100',
      '01111100',
      '01111100',
      '00000000',
      '00000000',
    ])
    const [cut] = await truthsOf({ ...data, pictures: [first!] }, { width: 8, height: 8 })
    expect(cut!.reduce((sum, one) => sum + one, 0)).toBe(4)
  })

  test('files of Windows', async () => {
    const latin = Buffer.from(listing(square('target', 0, 0, 3)).replace('where?', 'the café?'), 'latin1')
    const data = await openAll(folderOf({ 'a.jpg': photo, 'a.json': latin }))
    expect(data.pictures[0]!.questions[0]!.sentence).toBe('the café?')
  })

  const bad: [string, string, RegExp][] = [
    ['no JSON', '{', /a\.json is no JSON/],
    ['no text', JSON.stringify({ shapes: [square('target', 0, 0, 1)] }), /a\.json: "text" is undefined/],
    ['no shapes', JSON.stringify({ text: ['x'] }), /"shapes" is undefined, expected a list/],
    ['no label', JSON.stringify({ text: ['x'], shapes: [{}] }), /the "label" of shape 1 is undefined/],
    [
      'no points',
      JSON.stringify({ text: ['x'], shapes: [{ label: 'target', points: [[1]] }] }),
      /the "points" of shape 1/,
    ],
    ['no target anywhere', listing(), /no photograph in it has a question with a target/],
  ]
  test.each(bad)('%s', async (_, text, message) => {
    const opened = openAll(folderOf({ 'a.jpg': photo, 'a.json': text }))
    await expect(opened).rejects.toMatchObject({
      code: 'ERR_DATASET',
      message: expect.stringMatching(message),
    })
  })
})

test('a path of no layout', async () => {
  const folder = folderOf({ 'readme.txt': 'x' })
  expect(await openOwnData(folder, 'x', { split: undefined, images: undefined }, signal)).toBeUndefined()
  expect(
    await openOwnData(join(folder, 'no'), 'x', { split: undefined, images: undefined }, signal),
  ).toBeUndefined()
})
