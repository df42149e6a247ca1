// Between which rows of the source a row of the result lies, for resize.wgsl and resize-map.wgsl.
//
// host      Sizes has h, rows of the source that count, and scale_y, source rows a row of the result

/** Of a row of y: the source row above it, and how far it is from there to the next. */
struct Place { row: u32, share: f32 }

fn place_of(row: u32) -> Place {
  let s = max((f32(row) + 0.5) * sizes.scale_y - 0.5, 0.0);
  let above = min(u32(s), sizes.h - 1u);
  return Place(above, clamp(s - f32(above), 0.0, 1.0));
}
