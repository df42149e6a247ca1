// view: an image and what was found in it, for every pixel of one pane of the canvas
//
// Maps (mask, ghost, band) are grey and inside where they are above one half; each covers its part of the image, which
// `*_scale` leads to. Absent ones are a single black pixel. `colours` has a colour per object, multiplied by its
// opacity.
//
// host   sets viewport and scissor to the pane, and draws one triangle that covers it

struct Pane {
  to_uv: mat3x3f,     // device pixels -> the image's [0, 1]
  tint: vec4f,        // the colour of what was found, and how opaque it is
  paper: vec4f,       // around the image
  mask_scale: vec2f,
  ghost_scale: vec2f,
  band_scale: vec2f,
  line: f32,          // reach of outlines in device pixels; 0 draws none
  cut: f32,           // 1 leaves only what the mask holds
  crisp: f32,         // 1 shows the image's pixels as squares
  check: f32,         // side of a square of the chequerboard, in device pixels
  colours_scale: vec2f,
}

@group(0) @binding(0) var<uniform> pane: Pane;
@group(0) @binding(1) var smooth_sampler: sampler;
@group(0) @binding(2) var image: texture_2d<f32>;
@group(0) @binding(3) var mask: texture_2d<f32>;
@group(0) @binding(4) var ghost: texture_2d<f32>;
@group(0) @binding(5) var band: texture_2d<f32>;
@group(0) @binding(6) var colours: texture_2d<f32>;

@vertex
fn vertex(@builtin(vertex_index) i: u32) -> @builtin(position) vec4f {
  return vec4f(f32(i & 1u) * 4.0 - 1.0, f32(i >> 1u) * 4.0 - 1.0, 0.0, 1.0);
}

fn uv_at(pixel: vec2f) -> vec2f {
  return (pane.to_uv * vec3f(pixel, 1.0)).xy;
}

// The same place, or with `crisp` the centre of the pixel that it is in
fn snapped(uv: vec2f, size: vec2u) -> vec2f {
  let s = vec2f(size);
  return select(uv, (floor(uv * s) + 0.5) / s, pane.crisp > 0.5);
}

fn value(map: texture_2d<f32>, uv: vec2f) -> f32 {
  return textureSampleLevel(map, smooth_sampler, uv, 0.0).r;
}

// The share of this pixel that is inside, from the value here and its slope
fn coverage(v: f32, slope: f32) -> f32 {
  return clamp((v - 0.5) / max(slope, 0.004) + 0.5, 0.0, 1.0);
}

// 1 where an edge is within `reach` pixels
fn ring(map: texture_2d<f32>, pixel: vec2f, scale: vec2f, reach: f32) -> f32 {
  var low = 1.0;
  var high = 0.0;
  for (var i = 0u; i < 8u; i++) {
    let angle = f32(i) * 0.785398;
    let v = value(map, uv_at(pixel + reach * vec2f(cos(angle), sin(angle))) * scale);
    let inside = smoothstep(0.4, 0.6, v);
    low = min(low, inside);
    high = max(high, inside);
  }
  return high - low;
}

// The object at a pixel: its colour and its opacity, both 0 where there is none
fn object_at(pixel: vec2f) -> vec4f {
  let size = textureDimensions(colours);
  let at = vec2i(floor(uv_at(pixel) * pane.colours_scale * vec2f(size)));
  return textureLoad(colours, clamp(at, vec2i(0), vec2i(size) - 1), 0);
}

// 1 where another object, or none, is within `reach` pixels
fn border(pixel: vec2f, own: vec4f, reach: f32) -> f32 {
  var most = 0.0;
  for (var i = 0u; i < 8u; i++) {
    let angle = f32(i) * 0.785398;
    most = max(most, distance(own, object_at(pixel + reach * vec2f(cos(angle), sin(angle)))));
  }
  return step(0.02, most);
}

@fragment
fn fragment(@builtin(position) position: vec4f) -> @location(0) vec4f {
  let pixel = position.xy;
  let uv = uv_at(pixel);

  // 1. The image; far away from it there is only paper
  let fine = textureSample(image, smooth_sampler, uv).rgb;
  let squares = textureSampleLevel(image, smooth_sampler, snapped(uv, textureDimensions(image)), 0.0).rgb;
  var colour = select(fine, squares, pane.crisp > 0.5);

  // 2. The mask: tint, or cut out over a chequerboard
  let v = value(mask, uv * pane.mask_scale);
  let inside = coverage(v, fwidth(v));
  let object = object_at(pixel);
  let object_colour = object.rgb / max(object.a, 0.004);
  let square = floor(pixel / pane.check);
  let board = select(0.80, 0.93, (i32(square.x + square.y) & 1) == 0);
  colour = mix(colour, mix(vec3f(board), colour, max(inside, object.a)), pane.cut);
  colour = mix(colour, pane.tint.rgb, inside * pane.tint.a);
  colour = mix(colour, object_colour, object.a * pane.tint.a);

  // 3. Where refinement was free: diagonal hatching
  let hatched = value(band, uv * pane.band_scale) * step(0.5, fract((pixel.x + pixel.y) / (pane.check * 0.75)));
  colour = mix(colour, vec3f(1.0), 0.62 * hatched);

  // 4. Outlines: the mask's and the objects' in colour inside and white outside, the ghost's in dashes
  if (pane.line > 0.0) {
    let outer = mix(colour, vec3f(1.0), border(pixel, object, pane.line));
    colour = select(outer, mix(colour, object_colour, border(pixel, object, pane.line) * object.a), object.a > 0.0);
    let edge = ring(mask, pixel, pane.mask_scale, pane.line);
    colour = mix(colour, mix(vec3f(1.0), pane.tint.rgb, inside), edge);
    let dash = select(0.0, 1.0, fract((pixel.x - pixel.y) / (pane.line * 9.0)) < 0.5);
    colour = mix(colour, vec3f(dash), ring(ghost, pixel, pane.ghost_scale, pane.line * 0.7));
  }

  let outside = any(uv < vec2f(0.0)) || any(uv > vec2f(1.0));
  return vec4f(select(colour, pane.paper.rgb, outside), 1.0);
}
