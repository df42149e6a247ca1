// Four columns of b at one k as matmul-tiles keeps them in workgroup memory: as 16 bits each, which hold the weight's own
// numbers exactly. int8 goes as f16, which has every integer up to 2,048. No shader-f16 needed.
//
// host      b is f16, bf16 or int8

alias Staged = vec2u;

fn stage(v: vec4f) -> Staged {
  if (B_TYPE == BF16) {
    let words = bitcast<vec4u>(v);
    return (words.xz >> vec2u(16u)) | (words.yw & vec2u(0xffff0000u));
  }
  return vec2u(pack2x16float(v.xy), pack2x16float(v.zw));
}

fn staged(v: Staged) -> vec4f {
  if (B_TYPE == BF16) {
    let low = v << vec2u(16u);
    let high = v & vec2u(0xffff0000u);
    return bitcast<vec4f>(vec4u(low.x, high.x, low.y, high.y));
  }
  return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
