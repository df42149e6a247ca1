// The words of this project's own dialect, and what the field calls them. A reader who knows other engines should meet
// only words that they know.

/**
 * - `names`     names that are declared, and files, have the word in them: rowFours has "fours"
 * - `whole`     names that are nothing but the word
 * - `prose`     comments, documents, titles of tests, and the strings of src and web say it
 * - `below`     only in this folder
 * - `except`    not in this folder
 *
 * @typedef {{ words: string, better: string, names?: boolean, whole?: boolean, prose?: boolean, below?: string,
 *   except?: string }} Entry
 * @type {readonly Entry[]}
 */
export const WORDS = [
  { words: 'fours', better: 'vec4, vec4 rows', names: true, prose: true },
  // A page has tab panels, as ARIA calls them
  { words: 'panel|panels', better: 'packed weights', names: true, prose: true, except: 'web' },
  { words: 'Form', better: 'weight layout', whole: true },
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
]

/** Files in which the words stay, and why. */
export const KEPT = {
  'tools/house/words.mjs': 'the table itself',
}
