// shrink: half of a texture's size, for the next level of detail; the host draws one triangle over it

@group(0) @binding(0) var smooth_sampler: sampler;
@group(0) @binding(1) var finer: texture_2d<f32>;

struct Corner {
  @builtin(position) position: vec4f,
  @location(0) uv: vec2f,
}

@vertex
fn vertex(@builtin(vertex_index) i: u32) -> Corner {
  let at = vec2f(f32(i & 1u) * 4.0, f32(i >> 1u) * 4.0);
  return Corner(vec4f(at.x - 1.0, at.y - 1.0, 0.0, 1.0), vec2f(at.x * 0.5, 1.0 - at.y * 0.5));
}

@fragment
fn fragment(corner: Corner) -> @location(0) vec4f {
  return textureSampleLevel(finer, smooth_sampler, corner.uv, 0.0);
}
