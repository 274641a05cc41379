// exp and the scaled complementary error function as polynomials, the same for every instruction set.
// Included inside an anonymous namespace, after the vocabulary. Accuracies are held by
// tests/backend/conformance_test.cc against the C library in double precision.

// e^x, relative error below 2e-7; 0 below -86.6 (no denormals, which some processors handle a hundred times
// slower), infinity above 88.7, NaN for NaN. x = n ln 2 + r, |r| <= ln 2 / 2; e^r = 1 + r + r^2 p(r), p by
// Chebyshev interpolation.
inline V vexp(V x) {
  const V clamped = vmax(vset(-87.0F), vmin(vset(89.0F), x));
  const V n = vround(vmul(clamped, vset(1.44269504F)));
  // ln 2 in two parts; the first has 9 significant bits, so that its product with n is exact.
  V r = vfma(n, vset(-0.693359375F), clamped);
  r = vfma(n, vset(2.12194440e-4F), r);
  V p = vset(0.00139269266F);
  p = vfma(p, r, vset(0.00836377387F));
  p = vfma(p, r, vset(0.0416665501F));
  p = vfma(p, r, vset(0.166665734F));
  p = vfma(p, r, vset(0.5F));
  p = vadd(vfma(vmul(r, r), p, r), vset(1.0F));
  // 2^n in two factors: n may be 128 while the result is still finite.
  const V result = vmul(vmul(p, vpow2(vsub(n, vset(1.0F)))), vset(2.0F));
  return vselect_less(x, vset(-86.6F), vset(0.0F), result);
}

// 1 / (1 + e^-x).
inline V vsigmoid(V x) { return vdiv(vset(1.0F), vadd(vset(1.0F), vexp(vsub(vset(0.0F), x)))); }

// erfc(z) for z >= 0: e^(-z^2) t q(t) with t = 1 / (1 + 0.35 z), q by Chebyshev interpolation of
// erfcx(z) / t over z in [0, 9.6], beyond which e^(-z^2) is 0.
inline V verfc_positive(V z) {
  const V t = vdiv(vset(1.0F), vfma(z, vset(0.35F), vset(1.0F)));
  V q = vset(0.035909216F);
  q = vfma(q, t, vset(-0.145313423F));
  q = vfma(q, t, vset(0.149211094F));
  q = vfma(q, t, vset(0.0156881539F));
  q = vfma(q, t, vset(0.0505300579F));
  q = vfma(q, t, vset(0.165894518F));
  q = vfma(q, t, vset(0.144207797F));
  q = vfma(q, t, vset(0.189428853F));
  q = vfma(q, t, vset(0.196949968F));
  q = vfma(q, t, vset(0.197493769F));
  return vmul(vmul(t, q), vexp(vmul(vsub(vset(0.0F), z), z)));
}
