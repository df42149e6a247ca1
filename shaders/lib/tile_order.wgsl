// The order of a product's tiles: row by row within bands that are eight tiles wide. Neighbouring tiles share rows of a
// and columns of b, and the columns of a band stay in cache while the rows of a stream through.
//
//   tile_at(tile, tiles_m, tiles_n)   row and column of a tile, counted in tiles

const BAND = 8u;

fn tile_at(tile: u32, tiles_m: u32, tiles_n: u32) -> vec2u {
  let band = tile / (BAND * tiles_m);
  let width = min(BAND, tiles_n - band * BAND);
  let inside = tile - band * BAND * tiles_m;
  return vec2u(inside / width, band * BAND + inside % width);
}
