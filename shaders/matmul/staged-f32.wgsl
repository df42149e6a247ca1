// Four columns of b at one k as matmul-tiles keeps them in workgroup memory: as they are.

alias Staged = vec4f;

fn stage(v: vec4f) -> Staged { return v; }

fn staged(v: Staged) -> vec4f { return v; }
