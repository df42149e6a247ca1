// Beside the image: how sure the model is, what each step took, and the other candidates.

import { printable } from '../../src/index.ts'
import { milliseconds, percent, scoreText } from '../common/format.ts'
import type { AnswerFacts, CandidateFacts } from '../common/protocol.ts'
import { caveatsInWords, showWorld, unknownLine } from '../inputs/knows.ts'
import { byId, make, picture, setWidth } from '../page/dom.ts'

/** Handlers for the buttons of the candidates. */
export interface CandidateActions {
  readonly pick: (query: number) => void
  readonly preview: (candidate: CandidateFacts, rank: number) => void
  readonly endPreview: () => void
  /** The next ones, from a place in the ranking on that counts from 0. */
  readonly more: (from: number) => Promise<readonly CandidateFacts[] | undefined>
}

/**
 * Shows the sentence, the score and the times. @param looked whether this sentence had to wait for the image to be
 * looked at
 */
export function showAnswer(answer: AnswerFacts, looked: boolean): void {
  showWorld(answer.world)
  const unknown = unknownLine(answer.unknownWords)
  byId('answer').replaceChildren(
    make(
      'div',
      {},
      make('p', { className: 'asked' }, printable(answer.sentence)),
      make('p', { className: answer.found ? 'headline found' : 'headline' }, headline(answer)),
      make('p', { className: 'faint score' }, `Score ${scoreText(answer.score)}. ${detail(answer)}`),
      unknown.length > 0 ? make('p', { className: 'unknown' }, ...unknown) : undefined,
    ),
    times(answer, looked),
  )
}

/** What came of the sentence, in two words. */
function headline({ found, isPicked, rank, all }: AnswerFacts): string {
  if (rank > 1 || (isPicked && !found)) return `Candidate ${rank}`
  if (!found) return 'Not found'
  const many = all?.objects.length ?? 1
  return all ? `Found ${many === 1 ? 'one object' : `${many} objects`}` : 'Found'
}

/** Below it, beside the score. */
function detail({ found, isPicked, rank, all, area, share }: AnswerFacts): string {
  if (!found && !isPicked) return 'That is too low; press a candidate below to see a guess.'
  if (all) return 'The surest comes first.'
  const size =
    area === 0
      ? 'Its mask is empty: nothing reached a probability of one half.'
      : `${area.toLocaleString('en')} pixels, ${percent(share, 1)} of the image.`
  return rank > 1 || !found ? `Picked by hand. ${size}` : size
}

/** Below them, what else it could have been: the best first, and more of them on request. */
export function showCandidates(
  some: readonly CandidateFacts[],
  { query, ranked, found }: AnswerFacts,
  actions: CandidateActions,
): void {
  const list = make('ol', { className: 'candidates', 'aria-labelledby': 'candidates-title' })
  const more = make('button', { type: 'button', className: 'more' })
  const add = (candidates: readonly CandidateFacts[]): void => {
    const from = list.childElementCount
    const tiles = candidates.map((candidate, i) => tile(candidate, from + i + 1, actions))
    list.append(...tiles.map((button) => make('li', {}, button)))
    const left = ranked - list.childElementCount
    more.textContent = `Show ${Math.min(left, some.length)} more of ${ranked}`
    if (from > 0) tiles[0]?.focus() // before the button that has it may go
    more.hidden = left === 0
  }
  let waiting = false
  more.addEventListener('click', () => {
    if (waiting) return
    waiting = true
    void actions.more(list.childElementCount).then((next) => {
      waiting = false
      if (next && list.isConnected) add(next)
    })
  })
  add(some)
  byId('candidates').replaceChildren(make('h3', { id: 'candidates-title' }, 'Candidates'), list, more)
  markCandidate(found ? query : undefined)
}

/** Marks the candidate that is the answer now, if one is. */
export function markCandidate(query: number | undefined): void {
  for (const button of byId('candidates').querySelectorAll<HTMLElement>('[data-query]'))
    button.setAttribute('aria-pressed', String(button.dataset['query'] === String(query)))
}

/** The result and its place in words, for screen readers. */
export function inWords(
  answer: AnswerFacts,
  size: { readonly width: number; readonly height: number },
): string {
  return [placeInWords(answer, size), caveatsInWords(answer)].filter(Boolean).join(' ')
}

function placeInWords(
  { sentence, found, isPicked, all, score, rank, share, box }: AnswerFacts,
  { width, height }: { readonly width: number; readonly height: number },
): string {
  const asked = printable(sentence)
  if (!found && !isPicked) {
    return `Not found: ${asked}. The best candidate has a score of ${scoreText(score)}, which is too low.`
  }
  if (all) {
    const many = all.objects.length
    return `Found ${asked}, ${many} ${many === 1 ? 'object' : 'objects'}. Best score ${score.toFixed(2)}.`
  }
  if (!box) return `Nothing found for ${asked}: the mask is empty.`
  const thirds = (at: number, names: readonly [string, string, string]): string =>
    names[Math.min(2, Math.floor(3 * at))] ?? names[1]
  const across = thirds((box[0] + box[2]) / 2 / width, ['left', 'centre', 'right'])
  const down = thirds((box[1] + box[3]) / 2 / height, ['top', 'middle', 'bottom'])
  const where = `${down} ${across}`.replace('middle centre', 'centre')
  const which = rank > 1 || !found ? `Candidate ${rank} for` : 'Found'
  return `${which} ${asked}, at the ${where} of the image, ${percent(share, 1)} of it. Score ${score.toFixed(2)}.`
}

/** The steps apart: the first is paid once per image. */
function times({ times: { look, read, segment } }: AnswerFacts, looked: boolean): HTMLElement {
  const most = Math.max(look, read, segment)
  const row = (name: string, ms: number, note: string, isPaid = false): HTMLElement[] => {
    const bar = make('span', { className: 'bar' })
    setWidth(bar, ms / most)
    const cls = isPaid ? 'paid' : ''
    return [
      make('dt', { className: cls, title: note }, name),
      make('dd', { className: cls, 'aria-hidden': 'true' }, bar),
      make('dd', { className: `value ${cls}` }, milliseconds(ms)),
    ]
  }
  const now = read + segment
  return make(
    'div',
    {},
    make(
      'dl',
      { className: 'times' },
      ...row('Look', look, 'at the image, once', !looked),
      ...row('Read', read, 'the sentence'),
      ...row('Segment', segment, 'find and cut out'),
    ),
    make(
      'p',
      { className: 'total' },
      looked
        ? `${milliseconds(look + now)} in all. Looking is done once per image: the next sentence will take only the rest.`
        : `${milliseconds(now)} for this sentence: the image had been looked at before.`,
    ),
  )
}

function tile(
  candidate: CandidateFacts,
  rank: number,
  { pick, preview, endPreview }: CandidateActions,
): HTMLButtonElement {
  const score = candidate.score.toFixed(3)
  const button = make(
    'button',
    {
      type: 'button',
      'aria-pressed': 'false',
      'aria-label': `Candidate ${rank}, score ${score}`,
    },
    picture(candidate.picture),
    make('span', { 'aria-hidden': 'true' }, make('b', {}, String(rank)), score),
  )
  button.dataset['query'] = String(candidate.query)
  button.addEventListener('click', () => pick(candidate.query))
  pointAt(button, () => preview(candidate, rank), endPreview)
  return button
}

/** Pointing with the mouse or moving the focus there; a finger that presses doesn't point. */
export function pointAt(element: HTMLElement, begin: () => void, end: () => void): void {
  element.addEventListener('pointerenter', ({ pointerType }) => pointerType === 'mouse' && begin())
  element.addEventListener('pointerleave', ({ pointerType }) => pointerType === 'mouse' && end())
  element.addEventListener('focus', () => element.matches(':focus-visible') && begin())
  element.addEventListener('blur', end)
}
