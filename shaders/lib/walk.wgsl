// Row and column of an index that grows in equal steps, without a division per step: CPUs divide lane by lane.
//
//   place_of(i, cols)              (row, column) of i
//   walk(place, step, cols)        the place `step` further on, where `step` is a place_of as well

fn place_of(i: u32, cols: u32) -> vec2u {
  let row = i / cols;
  return vec2u(row, i - row * cols);
}

fn walk(place: vec2u, step: vec2u, cols: u32) -> vec2u {
  let next = place + step;
  return select(next, vec2u(next.x + 1u, next.y - cols), next.y >= cols);
}
