// Deformable sampling for training on a CPU, from raw offsets and weight logits: one pass over the tokens,
// value rows read where they lie, nothing materialised between.
//
// value [B, S, h, D] f32, offset [B, S, h, L, P, 2] (x, y) in pixels of the level, logit [B, S, h, L*P],
// out [B, S, h, D]. Every token is a query; its reference is its own centre. Bilinear, taps outside a map
// count 0. D and LP = L*P are fixed when compiled.
#include <algorithm>
#include <cmath>
#include <cstring>

namespace {

void soften(const float* logit, float* w) {  // softmax over the LP samples of a head
  float most = logit[0], sum = 0;
  for (int i = 1; i < LP; i++) most = std::max(most, logit[i]);
  for (int i = 0; i < LP; i++) sum += w[i] = std::exp(logit[i] - most);
  for (int i = 0; i < LP; i++) w[i] /= sum;
}

struct Corner { bool inside; int x0, y0; float fx, fy; };

inline Corner corner(float x, float y, int H, int W) {
  const float xf = std::floor(x), yf = std::floor(y);
  return {xf >= -1 && xf < W && yf >= -1 && yf < H, (int)xf, (int)yf, x - xf, y - yf};
}

}  // namespace

extern "C" void forward(const float* value, const float* offset, const float* logit, float* out,
                        const int* shapes, int B, int S, int h, int L, int P) {
  for (int b = 0; b < B; b++) {
    long n = (long)b * S;
    for (int q = 0; q < L; q++)
      for (int row = 0; row < shapes[2 * q]; row++)
        for (int column = 0; column < shapes[2 * q + 1]; column++, n++) {
          const float rx = (column + 0.5f) / shapes[2 * q + 1], ry = (row + 0.5f) / shapes[2 * q];
          for (int a = 0; a < h; a++) {
            const long at = n * h + a;
            float w[LP], sum[D] = {0};
            soften(logit + at * LP, w);
            int base = 0;
            for (int l = 0; l < L; l++) {
              const int H = shapes[2 * l], W = shapes[2 * l + 1];
              for (int p = 0; p < P; p++) {
                const int i = l * P + p;
                const float* o = offset + 2 * (at * LP + i);
                const Corner k = corner(rx * W + o[0] - 0.5f, ry * H + o[1] - 0.5f, H, W);
                if (!k.inside) continue;
                for (int dy = 0; dy < 2; dy++)
                  for (int dx = 0; dx < 2; dx++) {
                    const int y = k.y0 + dy, x = k.x0 + dx;
                    if (y < 0 || y >= H || x < 0 || x >= W) continue;
                    const float c = w[i] * (dy ? k.fy : 1 - k.fy) * (dx ? k.fx : 1 - k.fx);
                    const float* v = value + (((long)b * S + base + y * W + x) * h + a) * D;
                    for (int d = 0; d < D; d++) sum[d] += c * v[d];
                  }
              }
              base += H * W;
            }
            std::memcpy(out + at * D, sum, sizeof sum);
          }
        }
  }
}

extern "C" void backward(const float* value, const float* offset, const float* logit, const float* grad,
                         float* grad_value, float* grad_offset, float* grad_logit,
                         const int* shapes, int B, int S, int h, int L, int P) {
  for (int b = 0; b < B; b++) {
    long n = (long)b * S;
    for (int q = 0; q < L; q++)
      for (int row = 0; row < shapes[2 * q]; row++)
        for (int column = 0; column < shapes[2 * q + 1]; column++, n++) {
          const float rx = (column + 0.5f) / shapes[2 * q + 1], ry = (row + 0.5f) / shapes[2 * q];
          for (int a = 0; a < h; a++) {
            const long at = n * h + a;
            const float* g = grad + at * D;
            float w[LP], gw[LP] = {0}, mean = 0;
            soften(logit + at * LP, w);
            int base = 0;
            for (int l = 0; l < L; l++) {
              const int H = shapes[2 * l], W = shapes[2 * l + 1];
              for (int p = 0; p < P; p++) {
                const int i = l * P + p;
                const float* o = offset + 2 * (at * LP + i);
                float* go = grad_offset + 2 * (at * LP + i);
                go[0] = go[1] = 0;
                const Corner k = corner(rx * W + o[0] - 0.5f, ry * H + o[1] - 0.5f, H, W);
                if (!k.inside) continue;
                float dot[2][2] = {{0, 0}, {0, 0}};
                for (int dy = 0; dy < 2; dy++)
                  for (int dx = 0; dx < 2; dx++) {
                    const int y = k.y0 + dy, x = k.x0 + dx;
                    if (y < 0 || y >= H || x < 0 || x >= W) continue;
                    const float c = w[i] * (dy ? k.fy : 1 - k.fy) * (dx ? k.fx : 1 - k.fx);
                    const long v = (((long)b * S + base + y * W + x) * h + a) * D;
                    float s = 0;
                    for (int d = 0; d < D; d++) s += g[d] * value[v + d];
                    for (int d = 0; d < D; d++) grad_value[v + d] += c * g[d];
                    dot[dy][dx] = s;
                  }
                const float fx = k.fx, fy = k.fy;
                gw[i] = (1 - fy) * ((1 - fx) * dot[0][0] + fx * dot[0][1]) + fy * ((1 - fx) * dot[1][0] + fx * dot[1][1]);
                go[0] = w[i] * ((1 - fy) * (dot[0][1] - dot[0][0]) + fy * (dot[1][1] - dot[1][0]));
                go[1] = w[i] * ((1 - fx) * (dot[1][0] - dot[0][0]) + fx * (dot[1][1] - dot[0][1]));
                mean += w[i] * gw[i];
              }
              base += H * W;
            }
            for (int i = 0; i < LP; i++) grad_logit[at * LP + i] = w[i] * (gw[i] - mean);
          }
        }
  }
}
