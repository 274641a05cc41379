// Norms and activation functions, a row or a run of numbers at a time.
// Included inside an anonymous namespace, after the vocabulary and math.inl.

inline V vload_up_to(const float* p, int64_t count) {
  return count >= kLanes ? vload(p) : vload_first(p, count);
}

// Sum of f(x[i]) over a row, in an order that depends on dim only. f(0) need not be 0: f gets the number of
// valid lanes' worth of values and tails are masked by lane index.
template <typename F>
inline float row_sum(const float* x, int64_t dim, F f) {
  V sums[4] = {vset(0.0F), vset(0.0F), vset(0.0F), vset(0.0F)};
  int64_t i = 0;
  for (; i + 4 * kLanes <= dim; i += 4 * kLanes) {
    GOSSAMER_UNROLL
    for (int v = 0; v < 4; ++v) sums[v] = vadd(sums[v], f(vload(x + i + v * kLanes)));
  }
  for (; i < dim; i += kLanes) {
    const int64_t left = dim - i;
    const V term = f(vload_up_to(x + i, left));
    sums[0] =
        vadd(sums[0], vselect_less(vlane_indices(), vset(left < kLanes ? static_cast<float>(left) : 1e9F),
                                   term, vset(0.0F)));
  }
  return vsum(vadd(vadd(sums[0], sums[1]), vadd(sums[2], sums[3])));
}

void layer_norm(const NormArgs& args) {
  const auto dim = static_cast<float>(args.dim);
  const V mean = vset(row_sum(args.x, args.dim, [](V x) { return x; }) / dim);
  const float variance = row_sum(args.x, args.dim,
                                 [mean](V x) {
                                   const V centred = vsub(x, mean);
                                   return vmul(centred, centred);
                                 }) /
                         dim;
  const V scale = vset(1.0F / __builtin_sqrtf(variance + args.eps));
  for (int64_t i = 0; i < args.dim; i += kLanes) {
    const int64_t left = args.dim - i;
    const V normal = vmul(vsub(vload_up_to(args.x + i, left), mean), scale);
    const V y = vfma(normal, vload_up_to(args.gain + i, left), vload_up_to(args.bias + i, left));
    vstore_activation(args.out, args.out_bf16, i, y, left);
  }
}

void rms_norm(const NormArgs& args) {
  const float mean_square =
      row_sum(args.x, args.dim, [](V x) { return vmul(x, x); }) / static_cast<float>(args.dim);
  const V scale = vset(1.0F / __builtin_sqrtf(mean_square + args.eps));
  for (int64_t i = 0; i < args.dim; i += kLanes) {
    const int64_t left = args.dim - i;
    const V y = vmul(vmul(vload_up_to(args.x + i, left), scale), vload_up_to(args.gain + i, left));
    vstore_activation(args.out, args.out_bf16, i, y, left);
  }
}

template <typename F>
inline void map_row(const float* x, void* out, bool out_bf16, int64_t count, F f) {
  for (int64_t i = 0; i < count; i += kLanes) {
    vstore_activation(out, out_bf16, i, f(vload_up_to(x + i, count - i)), count - i);
  }
}

// x * (1 + erf(x / sqrt 2)) / 2 through erfc of |x|, which keeps the relative accuracy where x is far below
// 0.
void gelu_erf(const float* x, void* out, bool out_bf16, int64_t count) {
  map_row(x, out, out_bf16, count, [](V a) {
    const V zero = vset(0.0F);
    const V magnitude = vselect_less(a, zero, vsub(zero, a), a);
    const V half_tail = vmul(vset(0.5F), verfc_positive(vmul(magnitude, vset(0.707106781F))));
    return vmul(a, vselect_less(a, zero, half_tail, vsub(vset(1.0F), half_tail)));
  });
}

// 0.5 x (1 + tanh(u)) = x / (1 + e^(-2u)), u = sqrt(2 / pi) (x + 0.044715 x^3).
void gelu_tanh(const float* x, void* out, bool out_bf16, int64_t count) {
  map_row(x, out, out_bf16, count, [](V a) {
    const V cubic = vfma(vmul(vset(0.044715F), vmul(a, a)), a, a);
    return vmul(a, vsigmoid(vmul(cubic, vset(2.0F * 0.797884561F))));
  });
}

// Gate and up rows alternate: split a run of pairs, then compute. The gate is clamped from above only.
void swiglu(const SwigluArgs& args) {
  const V limit = vset(args.limit);
  const V alpha = vset(args.alpha);
  for (int64_t token = 0; token < args.num_tokens; ++token) {
    const float* row = args.gate_up + token * 2 * args.ffn_dim;
    for (int64_t i = args.begin; i < args.end; i += kLanes) {
      const int64_t left = args.end - i;
      const int64_t count = left < kLanes ? left : kLanes;
      float gates[kLanes] = {};
      float ups[kLanes] = {};
      for (int64_t j = 0; j < count; ++j) {
        gates[j] = row[2 * (i + j)];
        ups[j] = row[2 * (i + j) + 1];
      }
      const V gate = vmin(limit, vload(gates));
      const V up = vmax(vset(-args.limit), vmin(limit, vload(ups)));
      const V h = vmul(vmul(gate, vsigmoid(vmul(alpha, gate))), vadd(up, vset(1.0F)));
      vstore_activation(args.out, args.out_bf16, token * args.ffn_dim + i, h, left);
    }
  }
}
