// The end of every product: bias, then residual, then the store; rows beyond the last stay unwritten.
// Included inside an anonymous namespace, after the vocabulary.

// `row` is the first of this vector's rows.
inline void store_sum(const LinearArgs& args, int64_t token, int64_t row, V sum) {
  const int64_t left = args.rows - row;
  if (left <= 0) return;
  float* out = args.out + token * args.out_stride + row;
  if (left >= kLanes) {
    if (args.bias != nullptr) sum = vadd(sum, vload(args.bias + row));
    if (args.add) sum = vadd(vload(out), sum);
    vstore(out, sum);
  } else {
    if (args.bias != nullptr) sum = vadd(sum, vload_first(args.bias + row, left));
    if (args.add) sum = vadd(vload_first(out, left), sum);
    vstore_first(out, sum, left);
  }
}
