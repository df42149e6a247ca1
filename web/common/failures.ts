// Errors of the worker on their way to the page, and what the page says about each: what happened, and the ways on.

import { FlowSegError, WeightsError } from '../../src/index.ts'
import type { Failure, LoadRequest } from './protocol.ts'

/** A failure of the studio's own. */
export class RequestError extends FlowSegError {}

/** An error in a form that can be posted to the page. */
export function failureOf(error: unknown): Failure {
  if (error instanceof WeightsError && isNetworks(error)) {
    return { name: error.name, code: 'ERR_NETWORK', message: error.message }
  }
  if (error instanceof FlowSegError) return { name: error.name, code: error.code, message: error.message }
  if (error instanceof DOMException && error.name === 'AbortError') {
    return { name: error.name, code: 'ERR_ABORTED', message: error.message }
  }
  // Browsers throw this when an array doesn't fit into the page's memory
  if (error instanceof RangeError && /alloc|invalid array|array buffer|array length/i.test(error.message)) {
    return { name: error.name, code: 'ERR_PAGE_MEMORY', message: error.message }
  }
  const message = error instanceof Error ? error.message : String(error)
  return { name: error instanceof Error ? error.name : 'Error', code: 'ERR_UNKNOWN', message }
}

/**
 * The engine throws WeightsError for damaged files and for unreachable ones; the latter have fetch's TypeError as their
 * cause.
 */
function isNetworks({ cause }: Error): boolean {
  return (
    (cause instanceof TypeError && /fetch|network|load failed|input stream/i.test(cause.message)) ||
    (cause instanceof WeightsError && isNetworks(cause))
  )
}

/** The action of a notice's button. */
export type WayOn = 'reload' | 'retry' | 'embedded' | 'int4' | 'picture' | 'weights'

/** A notice about a failure, in words for whoever uses the page. */
export interface Advice {
  readonly title: string
  readonly text: string
  /** The engine's own words, for those who want to know. */
  readonly details?: string
  readonly ways: readonly WayOn[]
}

/** The labels of the buttons that lead on. */
export const WAYS: Readonly<Record<WayOn, string>> = {
  reload: 'Reload the page',
  retry: 'Try again',
  embedded: 'Use the embedded model',
  int4: 'Load in 4 bits',
  picture: 'Choose another image',
  weights: 'Choose other weights',
}

/** The source of a failure. */
export interface Circumstances {
  /** This browser knows WebGPU at all. */
  readonly hasWebGpu: boolean
  /** The model that is there, or was asked for: ways on lead elsewhere. */
  readonly wanted: LoadRequest
}

/** The notice about a failure, by its code. */
export function adviceOn(failure: Failure, { hasWebGpu, wanted }: Circumstances): Advice {
  const { code, message } = failure
  switch (code) {
    case 'ERR_NO_ADAPTER':
      if (!hasWebGpu && !globalThis.isSecureContext) {
        return {
          title: 'This page needs a secure address',
          text: 'Browsers offer WebGPU to pages on https:// or localhost only. Open the studio there.',
          ways: ['reload'],
        }
      }
      if (!hasWebGpu) {
        return {
          title: 'This browser has no WebGPU',
          text:
            'The model runs on WebGPU, which is in current Chrome and Edge, in Safari 26, and in Firefox on Windows and ' +
            'recent Macs. In another browser it may be behind a setting. Images can be opened here, but not searched.',
          ways: ['reload'],
        }
      }
      return {
        title: 'No graphics adapter',
        text:
          'The browser knows WebGPU but offers no adapter. Turn on hardware acceleration in its settings, or update ' +
          'the graphics driver; chrome://gpu tells what is blocked.',
        ways: ['retry', 'reload'],
      }
    case 'ERR_DEVICE_LOST':
      return {
        title: 'The graphics device was lost',
        text: `${sentence(message)} The image and the sentence are still here.`,
        ways: ['retry', 'reload'],
      }
    case 'ERR_OUT_OF_MEMORY':
      return {
        title: 'Not enough graphics memory',
        text: 'The graphics device has no room for this. Closing other pages and programs that use it may help.',
        details: message,
        ways: lighter(wanted),
      }
    case 'ERR_LIMIT':
      return {
        title: 'Too large for this graphics adapter',
        text: 'This is more than the adapter takes at once, however much memory is free.',
        details: message,
        ways: lighter(wanted),
      }
    case 'ERR_PAGE_MEMORY':
      return {
        title: 'Not enough memory',
        text: `The browser gave this page no more memory (${message}). A smaller image, or fewer open tabs, will help.`,
        ways: ['picture', 'reload'],
      }
    case 'ERR_IMAGE':
      if (/\bHEI[CF]\b/.test(message)) {
        return {
          title: "This browser can't read HEIC photos",
          text:
            'Save it as a JPEG first. On a Mac: open it in Preview and choose File, Export. On Windows: open it in Photos ' +
            'and choose Save as. An iPhone takes JPEGs with Settings, Camera, Formats, Most Compatible. Safari reads HEIC.',
          details: message,
          ways: ['picture'],
        }
      }
      return { title: "This image can't be opened", text: message, ways: ['picture'] }
    case 'ERR_LINK':
      return { title: "This image can't be fetched", text: message, ways: ['picture'] }
    case 'ERR_DROP':
      return { title: "What was dropped can't be opened", text: message, ways: ['picture'] }
    case 'ERR_CAMERA':
      return { title: "The camera can't be used", text: message, ways: ['picture'] }
    case 'ERR_WEIGHTS':
      if (wanted.place.kind === 'embedded') {
        return {
          title: 'The model came damaged',
          text: 'What is kept of it was dropped. Trying again downloads it anew.',
          details: message,
          ways: ['retry', 'weights'],
        }
      }
      return {
        title: "These weights can't be used",
        text: message,
        ways: wanted.place.kind === 'url' ? ['retry', 'weights'] : ['weights'],
      }
    case 'ERR_BROKEN_OFF':
      return {
        title: 'The download broke off',
        text: `${message} Check the connection. Trying again goes on where it stopped.`,
        ways: ['retry'],
      }
    case 'ERR_NETWORK':
      return {
        title: 'The model could not be downloaded',
        text: `${message} Check the connection.`,
        ways: ['retry'],
      }
    case 'ERR_WORKER':
      return {
        title: 'The studio could not start',
        text: `Its worker failed: ${sentence(message)} A newer browser may help, if loading it again doesn't.`,
        ways: ['reload'],
      }
    default:
      // All that people write for the engine themselves
      if (code === 'ERR_USAGE' && wanted.place.kind === 'url') {
        return { title: "This address can't be read", text: message, ways: ['weights'] }
      }
      return { title: 'Something went wrong', text: sentence(message), ways: ['retry', 'reload'] }
  }
}

/** The advice that asks less of the device; where there is none, other pages may let go of it. */
function lighter({ place, quantize }: LoadRequest): WayOn[] {
  const ways: WayOn[] = []
  if (quantize !== 'int4') ways.push('int4')
  if (place.kind !== 'embedded') ways.push('embedded')
  return ways.length > 0 ? ways : ['retry', 'reload']
}

/** Messages of browsers end as they like. */
function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`
}
