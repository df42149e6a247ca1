// conv2d: y[p, n] = activation(sum over dy, dx, i of x[oy * stride + dy - padding, ox * stride + dx - padding, i]
//         * weight[n, dy, dx, i] + bias[n]), p = oy * out_w + ox, x zero outside of the image
//
// shapes    a = x [H, W, I] f32, b = weight [N, kh, kw, I], y [M, N] f32 with M = out_h * out_w
// threads   a thread takes ROWS pixels x COLS channels in registers, as in matmul.wgsl: an implicit matmul
// numerics  f32; four products at a time are added to the sum, in the order of dy, dx, i: same bits every run
// host      row = W * I, step = stride * I, run = kw * I, left_pad = padding * I; ALIGNED where all are multiples of
//           four, and then they count vectors (matmul-load.wgsl); workgroups x, y count WG tiles each; first_group is
//           added to y
// prelude   const ROWS (4, 8), const COLS (4, 8), const WG, const PADDED (padding > 0), and those of matmul-load.wgsl,
//           matmul-tile.wgsl, and matmul-alone.wgsl or matmul-quads.wgsl
//
// Channels lie last, so for one dy the kw * I values that a pixel multiplies are one run of memory, in x as in the
// weight. Left and right of the image is where the run's position in the image row is below 0 or at W * I.

struct Sizes {
  M: u32, N: u32,
  tiles_m: u32, tiles_n: u32,
  y_cols: u32, y_first: u32,  // N and 0
  H: i32, row: i32, run: u32, kh: u32,
  out_w: u32, stride: i32, step: i32,
  padding: i32, left_pad: i32,
  first_group: u32,
}

@group(0) @binding(6) var<uniform> sizes: Sizes;

fn y_first() -> u32 { return sizes.y_first; }

/** Of four pixels: the image row above their first, and the run's first position in an image row. */
struct Pixels { y: vec4i, position: vec4i }

fn pixels(m: u32) -> Pixels {
  let p = min(m + NEXT, vec4u(sizes.M - 1u));
  let oy = p / vec4u(sizes.out_w);
  let ox = p - oy * sizes.out_w;
  return Pixels(vec4i(oy) * sizes.stride - sizes.padding, vec4i(ox) * sizes.step - sizes.left_pad);
}

/** Four values of x: image row y, positions p .. p + 3, of which `left` belong to the run. */
fn x4(y: i32, p: i32, left: u32) -> vec4f {
  // As u32, what lies above or left of the image is large too. `&` and select, as each branch of `&&` would
  // be a block of its own in the inner loop: SwiftShader then compiled for 19 s instead of 0.4
  let row_inside = u32(y) < u32(sizes.H);
  if (ALIGNED) {
    if (!PADDED) { return a4(u32(y * sizes.row + p), left); }
    let inside = row_inside & (u32(p) < u32(sizes.row));
    return select(vec4f(), a4(u32(select(0, y * sizes.row + p, inside)), left), inside);
  }
  let at = vec4u(vec4i(p) + vec4i(NEXT));
  let inside = (at < vec4u(u32(sizes.row))) & (NEXT < vec4u(left)) & vec4<bool>(row_inside);
  let i = select(vec4u(), u32(y * sizes.row) + at, inside);
  return select(vec4f(), vec4f(a1(i.x), a1(i.y), a1(i.z), a1(i.w)), inside);
}

/** Four pixels, four values of their runs: a column of the matrix is a pixel. */
fn x_block(at: Pixels, dy: u32, j: u32) -> mat4x4f {
  let left = sizes.run - j;
  let y = at.y + i32(dy);
  let p = at.position + i32(j);
  return mat4x4f(x4(y.x, p.x, left), x4(y.y, p.y, left), x4(y.z, p.z, left), x4(y.w, p.w, left));
}

fn weight_rows(n: u32) -> vec4u {
  return min(n + NEXT, vec4u(sizes.N - 1u)) * (sizes.kh * sizes.run);
}

fn weight_block(rows: vec4u, dy: u32, j: u32) -> mat4x4f {
  let left = sizes.run - j;
  let at = rows + (dy * sizes.run + j);
  return transpose(mat4x4f(b4(at.x, left), b4(at.y, left), b4(at.z, left), b4(at.w, left)));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32,
) {
  let tile = tile_of((group.y + sizes.first_group) * groups.x + group.x, thread);
  if (tile >= sizes.tiles_m * sizes.tiles_n) { return; }
  let place = tile_place(place_of(tile), thread);
  let first = first_block(thread);

  // The sums: block c<row><col> has a column for each pixel
  let pixels0 = pixels(place.m + 4u * first.x);
  let pixels1 = pixels(place.m + 4u);
  let rows0 = weight_rows(place.n + 4u * first.y);
  let rows1 = weight_rows(place.n + 4u);
  var c00 = mat4x4f();
  var c01 = mat4x4f();
  var c10 = mat4x4f();
  var c11 = mat4x4f();
  for (var dy = 0u; dy < sizes.kh; dy++) {
    for (var j = 0u; j < sizes.run; j += STEP) {
      let x0 = x_block(pixels0, dy, j);
      var x1 = mat4x4f();
      let w0 = weight_block(rows0, dy, j);
      c00 += w0 * x0;
      if (ROWS > 4u) {
        if (BESIDE == 2u) { x1 = from_beside(x0); } else { x1 = x_block(pixels1, dy, j); }
        c10 += w0 * x1;
      }
      if (COLS > 4u) {
        var w1: mat4x4f;
        if (BELOW == 2u) { w1 = from_below(w0); } else { w1 = weight_block(rows1, dy, j); }
        c01 += w1 * x0;
        if (ROWS > 4u) { c11 += w1 * x1; }
      }
    }
  }

  store_tile(place, first, 0u, Blocks(c00, c01, c10, c11), 1.0);
}
