// Row and column of an index that goes on in equal steps, without a division each time (a division is done lane by
// lane on CPUs).
//
//   place_of(i, cols)              (row, column) of i
//   walk(place, step, cols)        where one is after `step`, a place_of as well

fn place_of(i: u32, cols: u32) -> vec2u {
  let row = i / cols;
  return vec2u(row, i - row * cols);
}

fn walk(place: vec2u, step: vec2u, cols: u32) -> vec2u {
  let next = place + step;
  return select(next, vec2u(next.x + 1u, next.y - cols), next.y >= cols);
}
