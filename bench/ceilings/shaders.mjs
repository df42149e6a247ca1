// The WGSL of the ceilings. Loops are unrolled in the text: drivers that unroll by themselves lose nothing, and for
// the others a private array with a changing index is dear.

const times = (n, line) => Array.from({ length: n }, (_, i) => line(i)).join('\n')

/** `accumulators` independent chains a thread; each of `steps` rounds multiplies and adds 8 times in each. */
export function multiplyAddShader(accumulators, steps) {
  const round = times(accumulators, (i) => `    s${i} = s${i} * m + c;`)
  return `
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let m = x[0];
  let c = x[1];
${times(accumulators, (i) => `  var s${i} = f32(id.x + ${i}u);`)}
  for (var i = 0u; i < ${steps}u; i++) {
${times(8, () => round)}
  }
  y[id.x] = ${Array.from({ length: accumulators }, (_, i) => `s${i}`).join(' + ')};
}
`
}

/** Each thread loads 8 elements in each of `steps` rounds; neighbours load neighbours. */
export function loadShader(kind, elements, steps) {
  const isScalar = kind === 'storage scalar'
  const isTexture = kind.startsWith('texture')
  const isShared = kind.startsWith('workgroup')
  const Elem = isScalar ? 'f32' : 'vec4f'
  const at = (i) => `(at + ${i * 64}u) & ${elements - 1}u`
  const load = (i) => {
    if (isTexture)
      return `textureLoad(x, vec2u((at + ${i * 64}u) & 63u, ((at + ${i * 64}u) >> 6u) & ${elements / 64 - 1}u))`
    return isShared ? `tile[${at(i)}]` : `x[${at(i)}]`
  }
  return `
${isTexture ? '@group(0) @binding(0) var x: texture_storage_2d<rgba32float, read>;' : `@group(0) @binding(0) var<storage, read> x: array<${Elem}>;`}
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
${isShared ? `var<workgroup> tile: array<vec4f, ${elements}>;` : ''}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(local_invocation_index) thread: u32) {
${isShared ? `  for (var i = thread; i < ${elements}u; i += 64u) { tile[i] = x[i]; }\n  workgroupBarrier();` : ''}
  var sum = ${Elem}(0.0);
  var at = thread;
  for (var i = 0u; i < ${steps}u; i++) {
${times(8, (i) => `    sum += ${load(i)};`)}
    at += 512u;
  }
  y[id.x] = ${isScalar ? 'sum' : 'sum.x + sum.y + sum.z + sum.w'};
}
`
}

/** Each thread copies `each` elements, neighbours side by side; the grid covers them exactly. */
export function copyShader(Elem, each) {
  return `
@group(0) @binding(0) var<storage, read> x: array<${Elem}>;
@group(0) @binding(1) var<storage, read_write> y: array<${Elem}>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) thread: u32) {
  let at = group.x * ${64 * each}u + thread;
${times(each, (i) => `  y[at + ${i * 64}u] = x[at + ${i * 64}u];`)}
}
`
}

export function emptyShader() {
  return `
@group(0) @binding(0) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(1)
fn main(@builtin(workgroup_id) group: vec3u) {
  if (group.x == 1u) { y[0] = 1.0; }
}
`
}

/**
 * y = a b^T for packed operands (measure.mjs). A workgroup is one subgroup of \`lanes\` and
 * takes I x J groups of rows.
 *
 * The four values of K of a row lie in one vec4. A column's are broadcast to all lanes and multiplied with the I rows
 * that each lane owns, so that per loaded vec4 there are many multiply-adds, and no barrier.
 */
export function productShader({ source, lanes, I, J, M, N, K }) {
  const isTexture = source === 'texture'
  const declare = (binding, name) =>
    isTexture
      ? `@group(0) @binding(${binding}) var ${name}: texture_storage_2d<rgba32float, read>;`
      : `@group(0) @binding(${binding}) var<storage, read> ${name}: array<vec4f>;`
  const load = (name, group) =>
    isTexture
      ? `textureLoad(${name}, vec2u(k * ${lanes}u + lane, ${group}))`
      : `${name}[(${group} * ${K / 4}u + k) * ${lanes}u + lane]`
  const columns = J * lanes
  const each = (line) => times(columns, (j) => times(I, (i) => line(i, j)))
  const multiply = (j) => {
    const b = `subgroupBroadcast(b${Math.floor(j / lanes)}, ${j % lanes}u)`
    return `    { let b = ${b};\n${times(I, (i) => `      s${j}_${i} += dot(a${i}, b);`)} }`
  }
  const store = (i, j) =>
    `  if (row + ${i * lanes}u < ${M}u && column + ${j}u < ${N}u) ` +
    `{ y[(row + ${i * lanes}u) * ${N}u + column + ${j}u] = s${j}_${i}; }`
  return `
enable subgroups;
${declare(0, 'a')}
${declare(1, 'b')}
@group(0) @binding(2) var<storage, read_write> y: array<f32>;

@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_index) lane: u32) {
${each((i, j) => `  var s${j}_${i} = 0.0;`)}
  for (var k = 0u; k < ${K / 4}u; k++) {
${times(I, (i) => `    let a${i} = ${load('a', `(group.x * ${I}u + ${i}u)`)};`)}
${times(J, (j) => `    let b${j} = ${load('b', `(group.y * ${J}u + ${j}u)`)};`)}
${times(columns, multiply)}
  }
  let row = group.x * ${I * lanes}u + lane;
  let column = group.y * ${columns}u;
${each(store)}
}
`
}
