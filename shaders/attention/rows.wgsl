// The places of the rows of attention, and the bindings of its kernels. A row is one query of one head. The GROUP heads
// of queries that share a head of keys have their rows beside each other: `in_head` counts the rows of a head of keys.
//
//   query_of(in_head)               the query of a row
//   row_of(batch, head, in_head)    its index in y, and among the rows of lib/attention_bias
//   query_at(row)                   where its channels begin in query
//   key_at(batch, head)             where those of the first key begin; the next key is a stride further on
//   value_at(batch, head)           the same of value
//   key4(i), value4(i)              four channels
//   keys_of_block(end)              the keys that rows below `end` see: up to those of the last row
//   oldest_of(query)                the first key that a query sees; rows from there on see none before it
//
// shapes    query [B, queries, ...], key and value [B, keys, ...] in vec4f, rows `*_stride` apart, the first head at
//           `*_start`; @if(HALF): key and value are f16, four in a vec2u; y [B, queries, heads, D4] vec4f, or the
//           parts of lib/online_softmax
// host      rows = queries * GROUP; `extent` is the width of RELATIVE's map, the keys of WINDOW, else 1; `loop_end` is
//           a kernel's own: where a loop ends that Mesa must not write out
// prelude   const D4, GROUP

import package::lib::attention_bias::{oldest_key, visible_keys};
@if(HALF) import package::lib::operands::from_f16;
import prelude::{D4, GROUP};

struct Sizes {
  rows: u32, row_blocks: u32, keys: u32, limit: u32, splits: u32, heads: u32, extent: u32,
  q_stride: u32, q_start: u32, k_stride: u32, k_start: u32, v_stride: u32, v_start: u32,
  scale: f32, loop_end: u32, first_group: u32,
}

@group(0) @binding(0) var<storage, read> query: array<vec4f>;
@if(HALF) @group(0) @binding(1) var<storage, read> key: array<vec2u>;
@else @group(0) @binding(1) var<storage, read> key: array<vec4f>;
@if(HALF) @group(0) @binding(2) var<storage, read> value: array<vec2u>;
@else @group(0) @binding(2) var<storage, read> value: array<vec4f>;
@group(0) @binding(6) var<storage, read_write> y: array<vec4f>;
@group(0) @binding(7) var<uniform> sizes: Sizes;

fn query_of(in_head: u32) -> u32 { return in_head / GROUP; }

fn row_of(batch: u32, head: u32, in_head: u32) -> u32 {
  return (batch * (sizes.rows / GROUP) + in_head / GROUP) * sizes.heads + head * GROUP + in_head % GROUP;
}

fn query_at(row: u32) -> u32 {
  return row / sizes.heads * sizes.q_stride + sizes.q_start + row % sizes.heads * D4;
}

fn key_at(batch: u32, head: u32) -> u32 { return batch * sizes.keys * sizes.k_stride + sizes.k_start + head * D4; }

fn value_at(batch: u32, head: u32) -> u32 { return batch * sizes.keys * sizes.v_stride + sizes.v_start + head * D4; }

@if(HALF) fn key4(i: u32) -> vec4f { return from_f16(key[i]); }
@else fn key4(i: u32) -> vec4f { return key[i]; }

@if(HALF) fn value4(i: u32) -> vec4f { return from_f16(value[i]); }
@else fn value4(i: u32) -> vec4f { return value[i]; }

fn oldest_of(i: u32) -> u32 { return oldest_key(i, sizes.limit, sizes.extent); }

fn keys_of_block(end: u32) -> u32 {
  return visible_keys(query_of(min(end, sizes.rows) - 1u), sizes.keys, sizes.limit);
}
