// Every module that kernels import compiles by itself, on each adapter: by Tint in Node and Chromium, by naga in Deno.

import { expect, test } from 'vitest'
import { type Shader, textOf } from '../../src/gpu/shader.ts'
import { adapters } from '../support.ts'

const linked = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?linked',
  import: 'default',
  eager: true,
})
const vec4 = import.meta.glob<Shader>('../../shaders/**/*.wgsl', {
  query: '?VEC4&linked',
  import: 'default',
  eager: true,
})
// A kernel has an entry point, a module has none
const modules = [...Object.values(linked), ...Object.values(vec4)].filter(
  (shader) => !textOf(shader).includes('@compute'),
)

/** What a host may define; the numbers are small powers of two, as sizes of tiles are. */
const FLAG = /^(?:HAS|IN|IS|B_IS)_|^(?:SPLIT|GATED|ALIGNED|PACKED|PADDED|CAUSAL|RELATIVE|BLOCKED)$/

function complete(shader: Shader): string {
  const prelude = shader.constants.map((name) => {
    if (name.endsWith('Word')) return `alias ${name} = vec4u;`
    if (!/^[A-Z][A-Z0-9_]*$/.test(name)) return `alias ${name} = vec4f;`
    return FLAG.test(name) ? `const ${name} = true;` : `const ${name} = 4u;`
  })
  const text = textOf(shader)
  const enable = /\b(?:subgroup|quad)[A-Z]\w*\s*\(|\bsubgroup_\w+\b/.test(text) ? 'enable subgroups;' : ''
  return [enable, ...prelude, text].join('\n')
}

test('there are modules', () => {
  expect(modules.length).toBeGreaterThan(20)
})

for (const gpu of await adapters()) {
  test(`each compiles by itself on ${gpu.name}`, async () => {
    for (const shader of modules) {
      const code = complete(shader)
      if (code.startsWith('enable subgroups') && !gpu.adapter.features.subgroups) continue
      gpu.device.pushErrorScope('validation')
      gpu.device.createShaderModule({ label: shader.name, code })
      const error = await gpu.device.popErrorScope()
      expect(error?.message, `${shader.name} ${shader.conditions.join(' ')}`).toBeUndefined()
    }
  })
}
