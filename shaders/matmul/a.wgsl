// a by fours, for all products but those in registers.
//
//   a4(begin, k)   of the row that begins at `begin`, its k-th four; zeros past its end
//
// host      the kernel has Sizes.K, which counts fours where ALIGNED
// prelude   const ALIGNED, alias AWord (vec4f where ALIGNED, else f32)

@group(0) @binding(0) var<storage, read> a: array<AWord>;

const NEXT = vec4u(0u, 1u, 2u, 3u);

fn a4(begin: u32, k: u32) -> vec4f {
  if (ALIGNED) { return select(vec4f(), vec4f(a[begin + min(k, sizes.K - 1u)]), k < sizes.K); }
  let at = 4u * k + NEXT;
  let i = begin + min(at, vec4u(sizes.K - 1u));
  let v = vec4f(vec4f(a[i.x]).x, vec4f(a[i.y]).x, vec4f(a[i.z]).x, vec4f(a[i.w]).x);
  return select(vec4f(), v, at < vec4u(sizes.K));
}
