// Places on the hub are parsed, and misspelt ones refused with the remedy.

import { describe, expect, test } from 'vitest'
import { UsageError } from '../../../../src/errors.ts'
import {
  describeHubPlace,
  isHubPlace,
  parseHubPlace,
  splitHubPlace,
} from '../../../../src/io/http/hub-place.ts'

describe('a place', () => {
  test.each([
    ['hf:me/nano', ['me', 'nano', '', 'main']],
    ['hf:me/nano/', ['me', 'nano', '', 'main']],
    ['HF:Me/Nano.v2', ['Me', 'Nano.v2', '', 'main']],
    ['hf:me/nano@v1', ['me', 'nano', '', 'v1']],
    ['hf:me/nano/@v1', ['me', 'nano', '', 'v1']],
    ['hf:me/nano@refs/pr/1', ['me', 'nano', '', 'refs/pr/1']],
    ['hf:hao9610/X-SAM/s3_mixed_finetune/xtuner_x/pytorch_model.bin', undefined],
    ['hf:me/nano/stage 3/größe/模型@main', ['me', 'nano', 'stage 3/größe/模型', 'main']],
    ['hf:me/nano/50% #1?/a@b@main', ['me', 'nano', '50% #1?/a@b', 'main']],
    ['hf:me/nano/..hidden/a..b', ['me', 'nano', '..hidden/a..b', 'main']],
  ] as const)('%s', (place, parts) => {
    expect(isHubPlace(place)).toBe(true)
    const parsed = parseHubPlace(place)
    const { owner, name, path, revision } = parsed
    if (parts) expect([owner, name, path, revision]).toEqual(parts)
    // The shown form means the same
    expect(parseHubPlace(describeHubPlace(parsed))).toEqual(parsed)
  })

  test.each([
    ['hf:me/nano/a/w.bin@v1', 'hf:me/nano/a@v1', 'w.bin'],
    ['hf:me/nano/w.bin', 'hf:me/nano', 'w.bin'],
    ['hf:me/nano@v1', 'hf:me/nano@v1', ''],
    ['hf:me/nano/a@b/w.bin@main', 'hf:me/nano/a@b@main', 'w.bin'],
  ])('%s is a file of %s', (place, folder, name) => {
    expect(splitHubPlace(place)).toEqual({ folder, name })
  })

  test.each(['https://huggingface.co/me/nano', './hf:me/nano', 'models/hf', 'hf', '/hf:/a', 'file:hf:a/b'])(
    '%s is none',
    (place) => {
      expect(isHubPlace(place)).toBe(false)
    },
  )
})

describe('misspelt, it is refused with the way to write it', () => {
  const form = 'The form is hf:owner/name, hf:owner/name/folder or hf:owner/name/folder@revision.'
  test.each([
    ['hf:', 'lacks the owner of a repository', form],
    ['hf:gpt2', 'lacks the name of a repository', form],
    ['hf:/', 'has a slash behind hf:', form],
    ['hf://', 'has a slash behind hf:', form],
    ['hf://me/nano/a', 'has a slash behind hf:', 'Write "hf:me/nano/a".'],
    ['hf:/me/nano', 'has a slash behind hf:', 'Write "hf:me/nano".'],
    ['hf:https://huggingface.co/me/nano', 'an address behind hf:', 'Write "hf:me/nano".'],
    ['hf:https://hf.co/me/nano/tree/v1/a b', 'an address behind hf:', 'Write "hf:me/nano/a b@v1".'],
    [
      'hf:https://huggingface.co/me/nano/blob/main/a/w.bin?x=1#L1',
      'behind hf:',
      'Write "hf:me/nano/a/w.bin".',
    ],
    ['hf://huggingface.co/me/nano', 'an address behind hf:', 'Write "hf:me/nano".'],
    ['hf:https://example.org/me/nano', 'has "https:" behind hf:', form],
    ['hf:hf:me/nano', 'has "hf:" behind hf:', form],
    ['hf:datasets/me/photos', 'is not a repository of models', form],
    ['hf:spaces/me/app', 'is not a repository of models', form],
    ['hf:models/me/nano', 'names a kind of repository', 'Write "hf:me/nano".'],
    ['hf:me/', 'lacks the name', form],
    ['hf:/nano', 'has a slash behind hf:', form],
    ['hf:me/nano//a', 'has two slashes side by side', form],
    ['hf:me/nano/a//', 'has two slashes side by side', form],
    ['hf:me/..', 'has "..", which can\'t be the name', form],
    ['hf:../nano', 'has "..", which can\'t be the name', form],
    ['hf:me/na no', 'has "na no", which can\'t be the name', form],
    ['hf:me/nano/../../other/secret', 'has ".." in its path, which must lead down', form],
    ['hf:me/nano/./a', 'has "." in its path', form],
    ['hf:me/nano/a\\b', 'has a backslash', form],
    ['hf:me/nano/a\nb', 'has a control character', form],
    ['hf:me/nano@', 'has no revision behind its "@"', 'or leave it out.'],
    ['hf:me/nano@a b', 'has "a b" behind its last "@"', 'put "@main" behind it.'],
    ['hf:me/nano@../x', "which can't be a revision", 'a branch, a tag or a commit'],
    ['hf:me/nano@a:b', "which can't be a revision", 'a branch, a tag or a commit'],
    ['hf:me/nano@/a', "which can't be a revision", 'a branch, a tag or a commit'],
    [`hf:me/nano@${'a'.repeat(300)}`, "which can't be a revision", 'a branch, a tag or a commit'],
    [`hf:${'a'.repeat(300)}/nano`, "can't be the name of an owner", form],
    ['hf:me/n\u202eano', 'has "n\\u{202e}ano"', form],
  ])('%j', (place, what, remedy) => {
    const refusal = (): unknown => parseHubPlace(place)
    expect(refusal).toThrow(UsageError)
    expect(refusal).toThrow(what)
    expect(refusal).toThrow(remedy)
  })
})
