// Marked loops are unrolled with the same meaning, whatever comments stand around them, or are refused; and each
// line of the result is traced to the line that it comes from.

import { describe, expect, test } from 'vitest'
import { unroll, unrolledLines, withMarksOnly } from '../../src/gpu/unroll.ts'

function loop(body: string, bound = '2u'): string {
  return `/*unroll*/ for (var i = 0u; i < ${bound}; i++) { ${body} }`
}

/**
 * The unrolled text, without the spaces that don't matter: several, as for comments, and those beside
 * braces.
 */
function written(source: string, constants: Record<string, unknown> = {}): string {
  return unroll(source, constants)
    .replace(/\s+/g, ' ')
    .replace(/ ?([{}]) ?/g, '$1')
    .trim()
}

describe('a marked loop becomes a block per turn', () => {
  test('up to a number or a constant of the prelude', () => {
    const source = `a; ${loop('x[i * 2u] = y;', 'N')} b;`
    expect(unroll(source, { N: 2 })).toBe('a; { x[0u * 2u] = y; }\n{ x[1u * 2u] = y; } b;')
    expect(written(source, { N: 0 })).toBe('a; b;')
    expect(written(loop('f(i);', '3u'))).toBe('{f(0u);}{f(1u);}{f(2u);}')
  })

  test('with the loops inside of it, and those after it', () => {
    const inner = '/*unroll*/ for (var j = 0u; j < N; j++) { f(i, j); }'
    expect(written(`${loop(inner)} ${loop('g(i);', '1u')}`, { N: 2 })).toBe(
      '{{f(0u, 0u);}{f(0u, 1u);}}{{f(1u, 0u);}{f(1u, 1u);}}{g(0u);}',
    )
    const innermost = '/*unroll*/ for (var k = 0u; k < 2u; k++) { f(i, j, k); }'
    expect(written(loop(`/*unroll*/ for (var j = 0u; j < 1u; j++) { ${innermost} g(j); }`, '1u'))).toBe(
      '{{{f(0u, 0u, 0u);}{f(0u, 0u, 1u);}g(0u);}}',
    )
  })

  test('in any layout', () => {
    expect(written('/*unroll*/\nfor(var i=0u;i<2u;i++){f(i);}')).toBe('{f(0u);}{f(1u);}')
    expect(written('/* unroll */ for ( var i = 0u ; i < 1u ; i ++ )\r\n{ f(i); }')).toBe('{f(0u);}')
  })

  test('where only the counter is replaced', () => {
    for (const same of ['a.i', 'a . i', 'ii', 'i2', '_i', 'ki', 'éi', 'ié', '1i', 'a.xi.i']) {
      expect(written(loop(`f(${same}, i);`, '1u'))).toBe(`{f(${same}, 0u);}`)
    }
  })

  test('where other loops stay as they are', () => {
    const plain = 'for (var t = 0u; t < 8u; t++) { f(t); }'
    expect(unroll(plain, {})).toBe(plain)
    expect(written(loop(plain, '1u'))).toBe('{for (var t = 0u; t < 8u; t++){f(t);}}')
  })
})

test('comments hold anything', () => {
  const comments = [
    '// a brace }',
    '// another { and /* no block comment',
    '// a mark /*unroll*/ for (var i = 0u; i < 3u; i++) {',
    '//*unroll*/ for (var i = 0u; i < 3u; i++) { f(i); }',
    '/* } */',
    '/* one /* inside { */ of another } */',
    '/* a mark /*unroll*/ for (;;) { inside */',
    '/*/*unroll*/*/',
    '/* // */',
    '/* i = 3u; break; */',
    '/**/',
    '/* unrolled */',
  ]
  for (const comment of comments) {
    const around = `${comment}\n/*unroll*/ ${comment}\n for (var i = 0u; ${comment}\n i < 2u; i++) { ${comment}\n f(i); ${comment}\n } g();\n${comment}`
    expect(written(around), comment).toBe('{f(0u);}{f(1u);}g();')
    expect(unroll(`f();\n${comment}`, {}), 'nothing is marked').toBe(`f();\n${comment}`)
  }
})

test('without comments, a text keeps its marks and its places', () => {
  const source = 'f(); // a/* b\n/*unroll*/ g();/* c\n /* unroll */ */ h();'
  const marks = withMarksOnly(source)
  expect(marks.replace(/ +/g, ' ')).toBe('f(); \n/*unroll*/ g(); \n h();')
  expect(marks).toHaveLength(source.length)
})

describe('refused is', () => {
  const form = "isn't of the form"
  test.each([
    ['another step', '/*unroll*/ for (var i = 0u; i < 2u; i += 2u) { f(i); }', form],
    ['a step back', '/*unroll*/ for (var i = 0u; i < 2u; i--) { f(i); }', form],
    ['a step of another variable', '/*unroll*/ for (var i = 0u; i < 2u; j++) { f(i); }', form],
    ['another start', '/*unroll*/ for (var i = 1u; i < 2u; i++) { f(i); }', form],
    ['a start that is an i32', '/*unroll*/ for (var i = 0; i < 2; i++) { f(i); }', form],
    ['a counter with a type', '/*unroll*/ for (var i: u32 = 0u; i < 2u; i++) { f(i); }', form],
    ['another comparison', '/*unroll*/ for (var i = 0u; i <= 2u; i++) { f(i); }', form],
    ['a bound that is computed', '/*unroll*/ for (var i = 0u; i < N / 2u; i++) { f(i); }', form],
    ['another kind of loop', '/*unroll*/ while (f()) { }', form],
    ['no loop', '/*unroll*/ f();', form],
    ['a mark at the end', 'f(); /*unroll*/', form],
    ['no end', '/*unroll*/ for (var i = 0u; i < 2u; i++) { if (a) { f(i); }', 'has no end'],
    ['an unknown bound', loop('f(i);', 'M'), 'the bound M'],
    ['a bound of a name that all objects have', loop('f(i);', 'constructor'), 'the bound constructor'],
    ['a bound without a suffix', loop('f(i);', '2'), 'the bound 2'],
    ['a bound that is an i32', loop('f(i);', '2i'), 'the bound 2i'],
    ['a type for a bound', loop('f(i);', 'Elem'), 'the bound Elem'],
    ['a boolean for a bound', loop('f(i);', 'IS'), 'the bound IS'],
    ['a fraction for a bound', loop('f(i);', 'HALF'), 'the bound HALF'],
    ['a negative bound', loop('f(i);', 'MINUS'), 'the bound MINUS'],
    ['more than anybody needs', loop('f(i);', 'LARGE'), 'runs 4000000000 times'],
    ['a bound that a let hides', `let N = 3u; ${loop('f(i);', 'N')}`, 'declared in the text as well'],
    [
      'a bound that a parameter hides',
      `fn g(a: u32, N: u32) { ${loop('f(i);', 'N')} }`,
      'declared in the text',
    ],
  ])('%s', (_, source, reason) => {
    const constants = { N: 2, Elem: 'f32', IS: true, HALF: 0.5, MINUS: -1, LARGE: 4e9 }
    expect(() => unroll(source, constants)).toThrow(reason)
  })

  const changes = [
    'i++',
    'i--',
    'i = 1u',
    'i=j',
    'i += 2u',
    'i <<= 1u',
    'i >>= 1u',
    'i |= 1u',
    'i /= 2u',
    '(i)++',
  ]
  const pointers = ['let p = &i', 'f(&i)', 'f(a, &i)', 'let p = &(i)']
  test.each([...changes, ...pointers])('a body that changes the counter: %s', (statement) => {
    expect(() => unroll(loop(`${statement};`), {})).toThrow('changes i')
    expect(() => unroll(loop(`if (a) { ${statement}; }`), {})).toThrow('changes i')
  })

  test.each([
    'x[i] = 1u',
    'a = i == 1u',
    'a = i <= b',
    'a = i >= b',
    'a = i != b',
    'a = b & i',
    'a.i = 1u',
    'b = f(i) == 2u',
  ])('not a body that only reads it: %s', (statement) => {
    expect(() => unroll(loop(`${statement};`), {})).not.toThrow()
  })

  test.each([
    'let i = 1u',
    'var i: u32',
    'const i = 1u',
    'var<function> i = 1u',
    'for (var i = 0u; i < 3u; i++) { }',
    loop('f(i);'),
  ])('a body that declares another: %s', (statement) => {
    expect(() => unroll(loop(`${statement};`), {})).toThrow('declares another i')
  })

  test.each([
    'break;',
    'continue;',
    'if (a) { break; }',
    'if (a) { } else { continue; }',
    '{ { continue; } }',
    'loop { break; } break;',
    'switch (a) { case 0u: { continue; } default: { } }',
    'switch a { default: { if (b) { continue; } } }',
    'switch (a) { default: { switch (b) { default: { continue; } } } }',
    'switch (a) { default: { loop { break; } continue; } }',
    'switch (a) { default: { break; } } break;',
  ])('a body that leaves the loop: %s', (statement) => {
    expect(() => unroll(loop(statement), {})).toThrow('is left by break or continue')
  })

  test.each([
    'for (var t = 0u; t < 8u; t++) { if (a) { break; } continue; }',
    'for (;;) { break; }',
    'while (a) { continue; }',
    'loop { if (a) { continue; } continuing { break if b; } }',
    'switch (a) { case 0u: { break; } default: { break; } }',
    'loop { switch (a) { default: { continue; } } break; }',
    'switch (a) { default: { loop { continue; } } }',
  ])('not a jump of a loop or switch inside: %s', (statement) => {
    expect(written(loop(`${statement} f(i);`, '1u'))).toContain('f(0u);')
  })
})

describe('lines are traced', () => {
  /** Each line of the unrolled text, with the number of the line that it is from. */
  const traced = (source: string, constants: Record<string, unknown> = {}): string[] => {
    const lines = unroll(source, constants).split('\n')
    const from = unrolledLines(source, constants)
    expect(from).toHaveLength(lines.length)
    return lines.map((line, i) => `${from[i]} ${line.trim()}`)
  }

  test('of a text without marks', () => {
    expect(traced('a;\n// b\nc;')).toEqual(['0 a;', '1 // b', '2 c;'])
  })

  test('of loops on several lines, on one, and inside of each other', () => {
    expect(traced('a;\n/*unroll*/ for (var i = 0u; i < 2u; i++) { f(i);\n  g(i);\n}\nb;')).toEqual([
      '0 a;',
      '1 { f(0u);',
      '2 g(0u);',
      '3 }',
      '1 { f(1u);',
      '2 g(1u);',
      '3 }',
      '4 b;',
    ])
    expect(traced('a;\n/*unroll*/ for (var i = 0u; i < 2u; i++) { f(i); }\nb;')).toEqual([
      '0 a;',
      '1 { f(0u); }',
      '1 { f(1u); }',
      '2 b;',
    ])
    const inner = '/*unroll*/ for (var j = 0u; j < 2u; j++) {\n f(i, j); }'
    expect(traced(`/*unroll*/ for (var i = 0u; i < 2u; i++) {\n${inner} }\nb;`)).toEqual([
      '0 {',
      '1 {',
      '2 f(0u, 0u); }',
      '1 {',
      '2 f(0u, 1u); } }',
      '0 {',
      '1 {',
      '2 f(1u, 0u); }',
      '1 {',
      '2 f(1u, 1u); } }',
      '3 b;',
    ])
  })

  test('beside comments of several lines, and with other ends of lines', () => {
    expect(
      traced('/* a\n b */ c;\r\n/*unroll*/ for (var i = 0u; i < 1u; i++) { /* d\n e */ f(i); }\ng;'),
    ).toEqual(['0 ', '1 c;', '2 {', '3 f(0u); }', '4 g;'])
  })
})
