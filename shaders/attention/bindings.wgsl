// The bindings of the attention kernels, and the places of their rows. A row is one query of one head. The SHARED_BY
// query heads that share a head of keys have adjacent rows: `in_head` counts the rows of a head of keys.
//
//   query_of(in_head)               the query of a row
//   row_of(batch, head, in_head)    its index in y, and among the rows of lib/attention_bias
//   query_at(row)                   the index in query of the row's first channel
//   key_at(batch, head)             the index in key of the first key's first channel; the next key is k_stride further
//   value_at(batch, head)           the index in value of the first value's first channel
//   key4(i), value4(i)              four channels of key and value
//   keys_of_rows(end)               rows below `end` see none of the keys from this one on
//   map_width()                     the width of RELATIVE's map
//   oldest_of(query)                the query, and all later ones, see none of the keys before this one
//
// shapes    query [B, queries, ...], key and value [B, keys, ...] in vec4f, rows `*_stride` apart, the first head at
//           `*_start`; @if(F16_KEYS): key and value are f16, four in a vec2u; y [B, queries, heads, D4] vec4f, or the
//           parts of lib/online_softmax
// host      rows = queries * SHARED_BY; the keys are divided into `splits` parts, and the rows of a head of keys into
//           `row_blocks` blocks, of as many rows as a workgroup takes; `limit` as in lib/attention_bias; `extent` is
//           the width of RELATIVE's map, the `window` of WINDOW, else 1, as a struct has 16 fields at most; `loop_end`
//           is the end of a loop that Mesa must not unroll, as each kernel says; first_group is added to
//           workgroup_id.y, so that a long dispatch can be cut
// prelude   const D4, SHARED_BY

import package::lib::attention_bias::{oldest_key, visible_keys};
@if(F16_KEYS) import package::lib::operands::from_f16;
import prelude::{D4, SHARED_BY};

struct Sizes {
  rows: u32, row_blocks: u32, keys: u32, limit: u32, splits: u32, heads: u32, extent: u32,
  q_stride: u32, q_start: u32, k_stride: u32, k_start: u32, v_stride: u32, v_start: u32,
  scale: f32, loop_end: u32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@if(F16_KEYS) @group(0) @binding(1) var<storage, read> key: array<vec2u>;
@else @group(0) @binding(1) var<storage, read> key: array<vec4f>;
@if(F16_KEYS) @group(0) @binding(2) var<storage, read> value: array<vec2u>;
@else @group(0) @binding(2) var<storage, read> value: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> sizes: Sizes;

fn query_of(in_head: u32) -> u32 { return in_head / SHARED_BY; }

fn row_of(batch: u32, head: u32, in_head: u32) -> u32 {
  return (batch * (sizes.rows / SHARED_BY) + in_head / SHARED_BY) * sizes.heads +
    head * SHARED_BY + in_head % SHARED_BY;
}

fn query_at(row: u32) -> u32 {
  return row / sizes.heads * sizes.q_stride + sizes.q_start + row % sizes.heads * D4;
}

fn key_at(batch: u32, head: u32) -> u32 { return batch * sizes.keys * sizes.k_stride + sizes.k_start + head * D4; }

fn value_at(batch: u32, head: u32) -> u32 { return batch * sizes.keys * sizes.v_stride + sizes.v_start + head * D4; }

@if(F16_KEYS) fn key4(i: u32) -> vec4f { return from_f16(key[i]); }
@else fn key4(i: u32) -> vec4f { return key[i]; }

@if(F16_KEYS) fn value4(i: u32) -> vec4f { return from_f16(value[i]); }
@else fn value4(i: u32) -> vec4f { return value[i]; }

fn map_width() -> u32 { return sizes.extent; }

fn oldest_of(i: u32) -> u32 { return oldest_key(i, sizes.limit, sizes.extent); }

fn keys_of_rows(end: u32) -> u32 {
  return visible_keys(query_of(min(end, sizes.rows) - 1u), sizes.keys, sizes.limit);
}
