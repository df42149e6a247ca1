// The tabs of the one input: a sentence, a list of categories, a question. A tab that the loaded weights don't know
// says why, and can't be opened.

import type { CategoryList, TaskName } from '../../src/index.ts'
import type { ObjectsAsk } from '../common/protocol.ts'
import { byId } from '../page/dom.ts'
import { say } from '../page/progress.ts'
import { withExample } from './knows.ts'

/** The tabs, by the end of their ids. */
export type Tab = 'sentence' | 'categories' | 'question'

/** The tasks of which weights need one, by what offers them. */
const NEEDS = {
  sentence: [],
  categories: ['categories'],
  question: ['chat', 'grounded'],
} as const satisfies Readonly<Record<Tab, readonly TaskName[]>>
const TABS = Object.keys(NEEDS) as Tab[]
const FIELDS: Readonly<Record<Tab, string>> = {
  sentence: 'sentence',
  categories: 'things',
  question: 'question',
}

const tabs = new Map(TABS.map((tab) => [tab, byId(`tab-${tab}`)]))

/** Listens to the tabs and to their forms, but not to the sentence's. */
export function listenToTabs(ask: (asked: Exclude<ObjectsAsk, { kind: 'region' }>) => void): void {
  for (const [tab, button] of tabs) {
    button.addEventListener('click', () => open(tab))
    button.addEventListener('keydown', ({ key }) => move(tab, key))
  }
  byId('ask-categories').addEventListener('submit', (event) => {
    event.preventDefault()
    const list = chosenList()
    complainOf('categories', list ? '' : 'Name at least one category.')
    if (list) ask({ kind: 'categories', list })
  })
  const question = byId('question', HTMLInputElement)
  byId('ask-question').addEventListener('submit', (event) => {
    event.preventDefault()
    if (refuses(byId('question-ask'))) return
    const text = question.value.trim()
    complainOf('question', text ? '' : 'Write a question.')
    if (text) ask({ kind: 'question', question: text })
  })
  byId('explain').addEventListener('click', () => {
    if (refuses(byId('explain'))) return
    const sentence = question.value.trim()
    complainOf('question', sentence ? '' : withExample('Write what to find'))
    if (sentence) ask({ kind: 'explanation', sentence })
  })
  byId('describe').addEventListener('click', () => {
    complainOf('question', '')
    if (!refuses(byId('describe'))) ask({ kind: 'description' })
  })
}

/** Opens or closes tabs by what the weights were trained on. @param name of the weights, printable */
export function setTasks(name: string, tasks: readonly TaskName[]): void {
  const whyNot = (...needs: readonly TaskName[]): string =>
    needs.length === 0 || needs.some((task) => tasks.includes(task))
      ? ''
      : `${name} was not trained on this: the tasks of its config.json are ${tasks.join(', ')}.`
  for (const [tab, button] of tabs) {
    const reason = whyNot(...NEEDS[tab])
    disable(button, reason)
    if (reason && button.getAttribute('aria-selected') === 'true') select('sentence')
  }
  disable(byId('question-ask'), whyNot('chat'))
  disable(byId('explain'), whyNot('chat') || whyNot('reasoning'))
  disable(byId('describe'), whyNot('grounded'))
}

/** Shows what is wrong with a list or a question; '' removes it. */
export function complainOf(tab: Exclude<Tab, 'sentence'>, what: string): void {
  byId(`${tab}-error`).textContent = what
  byId(FIELDS[tab]).setAttribute('aria-invalid', String(what !== ''))
  if (what) say(what)
}

/** Titles of buttons that can be pressed. */
const titles = new Map<HTMLElement, string>()

/** It stays where the focus can get, so that the reason is heard. */
function disable(button: HTMLElement, reason: string): void {
  const usual = titles.get(button) ?? button.title
  titles.set(button, usual)
  button.setAttribute('aria-disabled', String(reason !== ''))
  button.title = reason || usual
  if (reason) button.setAttribute('aria-description', reason)
  else button.removeAttribute('aria-description')
}

function refuses(button: HTMLElement): boolean {
  const isRefused = button.getAttribute('aria-disabled') === 'true'
  if (isRefused) say(button.title)
  return isRefused
}

function open(tab: Tab): void {
  const button = tabs.get(tab)
  if (button && !refuses(button)) select(tab)
}

function select(tab: Tab): void {
  for (const [other, button] of tabs) {
    const isOpen = other === tab
    button.setAttribute('aria-selected', String(isOpen))
    button.tabIndex = isOpen ? 0 : -1
    byId(`panel-${other}`).hidden = !isOpen
  }
  const skip = document.querySelector<HTMLAnchorElement>('.skip')
  if (skip) skip.href = `#${FIELDS[tab]}`
}

/** Arrow keys move the focus along the tabs; a tab that it reaches is opened, if it can be. */
function move(from: Tab, key: string): void {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[key]
  const at =
    key === 'Home' ? 0 : key === 'End' ? TABS.length - 1 : step && TABS.indexOf(from) + step + TABS.length
  if (at === undefined) return
  const tab = TABS[at % TABS.length]
  if (!tab) return
  tabs.get(tab)?.focus()
  open(tab)
}

/** Two lists; or X-SAM's text in the first field, `ins: person, bird; sem: sky`. */
function chosenList(): CategoryList | string | undefined {
  const [things, stuff] = ['things', 'stuff'].map((id) => byId(id, HTMLInputElement).value.trim())
  if (things && /^(ins|sem)\s*:/i.test(things)) {
    if (!stuff) return things
    // Of two lists of stuff the engine would read the first
    return /sem:/.test(things)
      ? things.replace(/sem:[^;\n]*/, (list) => `${list}, ${stuff}`)
      : `${things}; sem: ${stuff}`
  }
  const names = (text = ''): string[] | undefined => {
    const all = text
      .split(',')
      .map((name) => name.trim())
      .filter(Boolean)
    return all.length > 0 ? all : undefined
  }
  const list = { things: names(things), stuff: names(stuff) }
  if (list.things && list.stuff) return { things: list.things, stuff: list.stuff }
  if (list.things) return { things: list.things }
  return list.stuff && { stuff: list.stuff }
}
