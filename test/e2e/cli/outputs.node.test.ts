// The images and sentences of a command line, and the places of its outputs, are decided before anything runs. Nothing
// ambiguous is guessed, and no output takes the place of an input, of another output, or of somebody's file.

import { execFileSync } from 'node:child_process'
import { link, mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { expect, test } from 'vitest'
import { parse } from '../../../src/cli/args.ts'
import { segment } from '../../../src/cli/commands/segment.ts'
import { type ImagePlace, imagePlace } from '../../../src/cli/image-files.ts'
import { expectApart, namesFor, type Wanted } from '../../../src/cli/output/outputs.ts'
import type { Output, Terminal } from '../../../src/cli/output/terminal.ts'
import { requestOf } from '../../../src/cli/request.ts'
import { temporaryFolder } from '../cli-harness.ts'

const THE_TWO = ['the umbrella', 'the dotted shape']

// ---- What is asked

test.each<[string[], string[], string[]]>([
  [['a.png', 'the dotted shape'], ['a.png'], ['the dotted shape']],
  [['a.png', 'umbrella'], ['a.png'], ['umbrella']],
  [['gone.png', 'the cat'], ['gone.png'], ['the cat']],
  [['a.png', ''], ['a.png'], ['']],
  [['a.png', '-s', 'x'], ['a.png'], ['x']],
  [
    ['-s', 'x', 'a.png', '--sentence=-y', 'b.png', '-sz'],
    ['a.png', 'b.png'],
    ['x', '-y', 'z'],
  ],
  [['a.png', '-s', 'b.png'], ['a.png'], ['b.png']], // said to be one
  [['--', '-a.png', '-b'], ['-a.png'], ['-b']],
  [['-', 'the cat'], ['-'], ['the cat']],
  [['-', 'https://host/b.jpg', 'a.png', '-s', 'x'], ['-', 'https://host/b.jpg', 'a.png'], ['x']],
  [['A/photo.png', 'B/photo.png', '-s', 'x'], ['A/photo.png', 'B/photo.png'], ['x']],
])('segment %j', async (args, images, sentences) => {
  const request = requestOf(parse(segment.page, args), terminalIn(await imageFolder()))
  expect(request.images.map(({ typed }) => typed)).toEqual(images)
  expect(request.sentences).toEqual(sentences)
})

test.each([
  [['a.png', 'b.png', THE_TWO[1]!], 'flowseg segment a.png b.png -s "the dotted shape"'],
  [['a.png', ...THE_TWO], 'flowseg segment a.png -s "the umbrella" -s "the dotted shape"'],
  [['a.png', 'b.png', ...THE_TWO], 'flowseg segment a.png b.png -s "the umbrella" -s "the dotted shape"'],
  [['a.png', 'the', 'red', 'mug'], 'As one: flowseg segment a.png "the red mug".'],
  [['a.png', 'the', 'red', 'mug'], 'As several: flowseg segment a.png -s the -s red -s mug.'],
  [['gone.png', 'the', 'cat'], 'As one: flowseg segment gone.png "the cat".'],
  [['a.png', 'b.png'], 'a sentence is missing: flowseg segment a.png b.png -s "SENTENCE"'],
  [['a.png', 'gone.jpg'], 'a sentence is missing: flowseg segment a.png gone.jpg -s "SENTENCE"'],
  [['a.png', '-'], 'a sentence is missing: flowseg segment a.png - -s "SENTENCE"'],
  [['a.png', 'https://host/b'], 'a sentence is missing: flowseg segment a.png https://host/b -s "SENTENCE"'],
  [['a.png', 'A'], 'named A. If it is the sentence: flowseg segment a.png -s A'],
  [['the cat', 'a.png'], 'The image comes first, then its sentence: flowseg segment a.png -s "the cat"'],
  [['a.png', 'the cat', 'b.png'], 'flowseg segment a.png b.png -s "the cat"'],
  [['a.png', 'the cat', '-s', 'x'], 'it needs an -s too: flowseg segment a.png -s "the cat" -s x'],
  [['-s', 'the cat'], 'No image is given: flowseg segment IMAGE -s "the cat"'],
  [['a.png'], 'is missing a sentence. Usage: flowseg segment IMAGE "SENTENCE", or'],
  [['the cat'], 'is missing an image. Usage:'],
  [[], 'is missing an image and a sentence. Usage:'],
  [['a.png', 'a.png', '-s', 'x'], 'The image a.png is given twice. Give it once.'],
  [['a.png', './A/../a.png', '-s', 'x'], 'is given twice, also as a.png.'],
  [['-', '-', '-s', 'x'], 'Standard input (-) is given twice'],
  [['a.png', '-s', 'x', '-s', 'x'], 'The sentence x is given twice.'],
  [['a.png', 'b.png', 'the \x1b[2K\n"cat"'], 'a.png b.png -s "the \\\\e[2K\\\\n\\"cat\\""'],
  [['http://', 'the cat'], 'http:// is not an address'],
  [['https://me:secret@host/a.png', 'the cat'], "The address of the image on host holds a user's name"],
  [['file://host/a.png', 'the cat'], 'file://host/a.png is not the address of a file here'],
])('segment %j is refused, with the right form', async (args, message) => {
  const terminal = terminalIn(await imageFolder())
  const ask = (): unknown => requestOf(parse(segment.page, args), terminal)
  expect(ask).toThrow(message)
  expect(ask).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  expect(ask).not.toThrow('secret')
})

// ---- Names

test.each<[string, string[], string[], Partial<Wanted>, string[]]>([
  ['one', ['a.png'], ['the cat'], {}, ['a-the-cat.png']],
  ['one, named', ['a.png'], ['the cat'], { overlay: 'x/o.PNG', mask: 'm.png' }, ['x/o.PNG', 'm.png']],
  ['one, in a folder that is there', ['a.png'], ['the cat'], { overlay: 'A' }, ['A/a-the-cat.png']],
  [
    'one, in a new folder',
    ['a.png'],
    ['x'],
    { overlay: 'new/', mask: 'm/' },
    ['new/a-x.png', 'm/a-x-mask.png'],
  ],
  ['one, with its flow', ['a.png'], ['x'], { flow: 'A' }, ['a-x.png', 'A']],
  ['two images', ['a.png', 'b.png'], ['x'], {}, ['a-x.png', 'b-x.png']],
  ['two sentences', ['a.png'], THE_TWO, {}, ['a-the-umbrella.png', 'a-the-dotted-shape.png']],
  [
    'in one folder',
    ['a.png'],
    ['x', 'y'],
    { overlay: 'o', mask: 'o' },
    ['o/a-x.png', 'o/a-x-mask.png', 'o/a-y.png', 'o/a-y-mask.png'],
  ],
  ['flows', ['a.png', 'b.png'], ['x'], { flow: 'f' }, ['a-x.png', 'f/a-x', 'b-x.png', 'f/b-x']],
  ['one stem in two folders', ['A/photo.png', 'B/photo.png'], ['x'], {}, ['A-photo-x.png', 'B-photo-x.png']],
  ['one stem of two types', ['a.png', 'a.jpg'], ['x'], {}, ['PARENT-a-x.png', 'PARENT-a-x-2.png']],
  ['names that differ in case', ['a.png', 'A.png'], ['x'], {}, ['PARENT-a-x.png', 'PARENT-A-x-2.png']],
  ['sentences of one slug', ['a.png'], ['The cat!', 'the cat'], {}, ['a-the-cat.png', 'a-the-cat-2.png']],
  ['sentences without letters', ['a.png'], ['?', '!'], {}, ['a-mask.png', 'a-mask-2.png']],
  [
    'joined to the same',
    ['a.png', 'a-b.png'],
    ['b c', 'c'],
    {},
    ['a-b-c.png', 'a-c.png', 'a-b-b-c.png', 'a-b-c-2.png'],
  ],
  ['a name that is taken', ['a.png'], ['taken'], {}, ['a-taken-2.png']],
  ['a mask whose name is taken', ['a.png'], ['x'], { mask: 'A' }, ['a-x-2.png', 'A/a-x-2-mask.png']],
  ['standard input', ['-'], ['x'], {}, ['stdin-x.png']],
  ['an address', ['https://host/p/my%20cat.jpg?size=2'], ['x'], {}, ['my cat-x.png']],
  ['an address that would lead out', ['https://host/..%2F..%2Fetc'], ['../x'], {}, ['host-x.png']],
  ['an address without a name', ['https://host/'], ['x'], {}, ['host-x.png']],
  ['a name that is an option', ['-rf.png'], ['x'], {}, ['rf-x.png']],
  ['a name with an escape sequence', ['\x1b[2J\n.png'], ['x\x1b[2J'], {}, ['[2J--x-2j.png']],
])('the names of %s', async (_, images, sentences, wanted, names) => {
  const cwd = await imageFolder()
  const parent = relative(join(cwd, '..'), cwd)
  const all = namesFor(
    placesOf(images, cwd),
    sentences,
    { overlay: undefined, mask: undefined, flow: undefined, ...wanted },
    { cwd },
  )
  const shown = all
    .flat()
    .flatMap(({ overlay, mask, flow }) => [
      overlay.path,
      ...(mask ? [mask.path] : []),
      ...(flow ? [flow] : []),
    ])
  expect(shown.map((name) => name.replace(parent, 'PARENT'))).toEqual(names)
})

test('names of any length fit a file system, and stay apart', async () => {
  const cwd = await temporaryFolder()
  const images = placesOf([`${'\u{20000}'.repeat(60)}a.png`, `${'\u{20000}'.repeat(60)}b.png`], cwd)
  const sentences = ['\u{20000}'.repeat(90), `${'\u{20000}'.repeat(90)}b`]
  const wanted = { overlay: undefined, mask: 'm', flow: undefined }
  const names = namesFor(images, sentences, wanted, { cwd }).flat()
  const files = names.flatMap(({ overlay, mask }) => [overlay.path, mask!.path])
  expect(new Set(files).size).toBe(8)
  for (const file of files) await writeFile(join(cwd, file.replace('m/', '')), '')
})

test.each<[number, Partial<Wanted>, string]>([
  [1, { overlay: 'o.jpg' }, 'o.jpg: only PNG is written.'],
  [1, { overlay: 'o' }, 'o: only PNG is written. Let it end in .png, or in / for a folder.'],
  [1, { mask: 'm.webp' }, 'm.webp: only PNG is written.'],
  [2, { overlay: 'o.png' }, '--out o.png is one file, and there are 2 answers. Give a folder: --out o/'],
  [2, { mask: 'm.png' }, '--mask m.png is one file, and there are 2 answers.'],
  [2, { overlay: 'o.jpg' }, 'o.jpg: only PNG is written.'],
])('%i answers can not go to %j', async (count, wanted, message) => {
  const cwd = await imageFolder()
  const images = placesOf(['a.png', 'b.png'].slice(0, count), cwd)
  const all = { overlay: undefined, mask: undefined, flow: undefined, ...wanted }
  expect(() => namesFor(images, ['x'], all, { cwd })).toThrow(message)
})

// ---- Collisions

test('outputs may not be the input, by whatever name', async () => {
  const cwd = await temporaryFolder()
  await writeFile(join(cwd, 'a.png'), 'x')
  await symlink('a.png', join(cwd, 'soft.png'))
  await link(join(cwd, 'a.png'), join(cwd, 'hard.png'))
  const kept = {
    files: [{ path: 'a.png', what: 'the image itself' }],
    folders: [{ path: 'model', what: 'the model' }],
  }
  const refused = (outputs: string[], message: string): Promise<void> =>
    expect(expectApart(kept, outputs, { cwd })).rejects.toThrow(message)
  for (const name of ['a.png', './a.png', 'soft.png', 'hard.png']) {
    await refused([name], 'would overwrite the image itself')
  }
  await refused(['b.png', './b.png'], 'which is also written')
  await expectApart(kept, ['b.png', 'c.png'], { cwd })

  // Files to be, in a folder of two names
  await mkdir(join(cwd, 'd'))
  await symlink('d', join(cwd, 'e'))
  await refused(['d/b.png', 'e/b.png'], 'which is also written')
  await refused(['d/b.png', 'e/B.png'], 'd/b.png and e/B.png differ in case only')
  await refused(['caf\u00e9.png', 'cafe\u0301.png'], 'differ in case only')
  await expectApart(kept, ['d/b.png', 'e/c.png', 'new/b.png'], { cwd })

  // Folders
  await mkdir(join(cwd, 'model/in'), { recursive: true })
  await symlink('model/in', join(cwd, 'way'))
  await refused(['d'], 'd is a folder')
  await refused(['model/x.png'], 'model/x.png would be written into the model')
  await refused(['way/new/x.png'], 'would be written into the model')
  await refused(['a.png/x.png'], 'is no folder')
  await refused(['x.png/y.png', 'x.png'], 'x.png would be a file, and the folder of x.png/y.png')

  // A file that was moved there would be the end of it
  execFileSync('mkfifo', [join(cwd, 'pipe')])
  await symlink('/dev/null', join(cwd, 'nothing'))
  for (const name of ['pipe', 'nothing', '/dev/null'])
    await refused([name], 'is a device or a pipe, and not replaced')
  await refused(['\x1b[2J/a.png', '\x1b[2J/../\x1b[2J/a.png'], '\\e[2J/a.png, which is also written')
})

// ---------------------------------------------------------------------------------------------------------

/** a.png, b.png, a-taken.png, A/photo.png, A/a-x-mask.png and B/photo.png; all empty. */
async function imageFolder(): Promise<string> {
  const folder = await temporaryFolder()
  for (const name of ['A', 'B']) await mkdir(join(folder, name))
  const files = ['a.png', 'b.png', 'a-taken.png', 'A/photo.png', 'A/a-x-mask.png', 'B/photo.png']
  for (const file of files) await writeFile(join(folder, file), '')
  return folder
}

function placesOf(images: readonly string[], cwd: string): ImagePlace[] {
  return images.map((image) => imagePlace(image, { cwd }))
}

function terminalIn(cwd: string): Terminal {
  const output: Output = { write: () => undefined, isTTY: false, columns: 80, colourBits: 1 }
  return { out: output, err: output, cwd, env: {}, signal: new AbortController().signal }
}
