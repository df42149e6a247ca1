// The words of this project's own dialect, and what the field calls them. A reader who knows other engines should meet
// only words that they know. `rows` as the name of a variant isn't here: nearly everywhere else it is the right word.

/** What is counted per thing, and things that one counts per. Other pairs may be right: "times a quality". */
const UNITS =
  'threads|buffers|workgroups|bytes|times|once|pixels|patches|tokens|lanes|words|sentences|masks|columns|' +
  'elements|labels|owners|points|operations|bits|MiB|ms|FLOPs'
const THINGS =
  'kernel|workgroup|subgroup|axis|thread|row|image|sentence|second|minute|million|side|word|turn|cell|value|entry|worker|' +
  'run|write|step'

/**
 * - `names`     names that are declared, and files, have the word in them: rowFours has "fours"
 * - `whole`     names that are nothing but the word
 * - `prose`     comments, documents, titles of tests, and the strings of src and web say it
 * - `below`     only in this folder
 * - `except`    not in this folder
 * - `label`     what the table says instead of the words, where they are a pattern
 *
 * @typedef {{ words: string, better: string, names?: boolean, whole?: boolean, prose?: boolean, below?: string,
 *   except?: string, label?: string }} Entry
 * @type {readonly Entry[]}
 */
export const WORDS = [
  { words: 'fours', better: 'vec4, vec4 rows', names: true, prose: true },
  // A page has tab panels, as ARIA calls them
  { words: 'panel|panels', better: 'packed weights', names: true, prose: true, except: 'web' },
  { words: 'Form', better: 'weight layout', whole: true },
  // Elsewhere a form is the wording of a condition, or an element of a page
  { words: 'form|forms', better: 'weight layout', whole: true, below: 'src/tuning' },
  { words: 'few|rowsSubgroup', better: 'gemv, skinny matmul', whole: true },
  { words: 'ending|endings', better: 'epilogue', names: true, prose: true },
  { words: 'staged', better: 'shared-memory (workgroup) tile', names: true, prose: true },
  { words: 'lean|leans|leaning', better: 'position bias', names: true, prose: true },
  { words: 'team|teams', better: 'threads of a row', names: true, prose: true },
  { words: 'over_lanes_sum', better: 'subgroup reduction', whole: true },
  { words: 'lie together|lies together', better: 'coalesced', prose: true },
  { words: 'met', better: 'seen', names: true },
  { words: 'settled', better: 'concrete', names: true },
  { words: 'arm|arms', better: 'candidate', names: true, prose: true },
  { words: 'fate|fates', better: 'verdict', names: true, prose: true },
  { words: 'moot', better: 'skipped', names: true, prose: true },
  { words: 'give|gives|giveBuffer|giveTexture', better: 'export', whole: true },
  { words: 'handOver', better: 'transfer ownership', whole: true },
  { words: 'hand over|hands over|handed over', better: 'transfer ownership', prose: true },
  { words: 'abreast', better: 'all or abort', names: true, prose: true },
  { words: 'turnstile', better: 'mutex (queue)', names: true, prose: true },
  { words: 'remember|remembers|remembered', better: 'cache', names: true, prose: true },
  { words: 'recall|recalls|recalled', better: 'load', names: true, prose: true },
  { words: 'course', better: 'chart', names: true, below: 'web' },
  { words: 'soft', better: 'mask preview', names: true, below: 'web' },
  { words: 'busy', better: 'progress', names: true, below: 'web' },
  { words: 'incoming', better: 'inputs', names: true, below: 'web' },
  { words: 'stage|stages', better: 'canvas', names: true, below: 'web' },
  { words: 'told', better: 'result', whole: true },
  { words: 'made', better: 'result', whole: true },
  { words: 'given', better: 'options', whole: true },
  { words: 'found', better: 'match', whole: true, below: 'src' },
  { words: 'found', better: 'match', whole: true, below: 'web' },
  {
    // In the header of a kernel two spaces stand behind `threads`, and its sentence begins there
    words: `(?:${UNITS})(?!\\x20\\x20) an? (?:${THINGS})`,
    better: 'per',
    label: 'threads a workgroup, once an image and the like',
    prose: true,
  },
]

/** Finds words in prose, also where a comment goes on in the next line. */
export function inProse(words) {
  return new RegExp(`\\b(?:${words.replaceAll(' ', '\\s+(?:[*/]+\\s+)?')})\\b`, 'gi')
}

/** Files in which the words stay, and why. */
export const KEPT = {
  'tools/house/words.mjs': 'the table itself',
}
