// A pixel's place among mask logits. These are resized to the image in two bilinear steps: to the model's canvas, and
// from the corner of the canvas that holds the image to the image. Both are linear, so along an axis a pixel is a
// weighted sum of at most four logits, and the canvas in between is never stored.
//
//   taps_of(i, axis)               the four places of a pixel along an axis of the map, and their weights
//   sample_at(i, inputs, outputs)  where output i of a resize along an axis reads
//
// numerics  each step samples at (i + 0.5) * inputs / outputs - 0.5, clamped to what it reads (align_corners false).
//           The weights of a step add up to 1
// host      1 <= crop <= canvas. image = crop leaves the second step out: then i counts pixels of the canvas

/** Lengths along an axis: of the map of logits, of the canvas, of its part that holds the image, of the image. */
struct Axis { map: u32, canvas: u32, crop: u32, image: u32 }

struct Taps { at: vec4u, weight: vec4f }

fn sample_at(i: u32, inputs: u32, outputs: u32) -> f32 {
  return clamp((f32(i) + 0.5) * (f32(inputs) / f32(outputs)) - 0.5, 0.0, f32(inputs - 1u));
}

fn taps_of(i: u32, axis: Axis) -> Taps {
  let s = sample_at(i, axis.crop, axis.image);
  let first = u32(s);
  let second = min(first + 1u, axis.crop - 1u);
  let share = s - f32(first);

  let a = sample_at(first, axis.map, axis.canvas);
  let b = sample_at(second, axis.map, axis.canvas);
  let low = vec2u(u32(a), u32(b));
  let high = min(low + 1u, vec2u(axis.map - 1u));
  let inner = vec2f(a, b) - vec2f(low);
  let outer = vec2f(1.0 - share, share);
  let at_low = outer * (1.0 - inner);
  let at_high = outer * inner;
  return Taps(vec4u(low.x, high.x, low.y, high.y), vec4f(at_low.x, at_high.x, at_low.y, at_high.y));
}
