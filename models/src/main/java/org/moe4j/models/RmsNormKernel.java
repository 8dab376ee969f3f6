package org.moe4j.models;

import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NoGrad;
import org.moe4j.tensor.Ops;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * {@link RmsNorm} with its own gradient, in blocks of rows that stay in a core's cache. For the
 * backward pass x and one number a row are kept.
 */
final class RmsNormKernel {
  private static final int BLOCK = 256;

  /** Without a gradient, so few numbers are one block of plain operations. */
  private static final long SMALL = 1 << 16;

  private RmsNormKernel() {}

  /** {@code x [..., d]}, scale w [d]: the same shape and type as x. */
  static Tensor apply(Tensor x, Tensor weight, double eps) {
    boolean small = !NoGrad.recording() && x.numel() <= SMALL;
    if (x.device() != Device.CPU || !weight.isLeaf() || small) {
      return Ops.rmsNorm(x, weight.to(x.dtype()), eps);
    }
    long d = x.size(-1);
    return OwnGradient.apply(
            in -> forward(in[0], weight, eps), weight.requiresGrad(), x.reshape(-1, d))
        .view(x.shape());
  }

  /** The pair of passes for {@code x [T,d]}, without recording. */
  static OwnGradient.Result forward(Tensor x, Tensor weight, double eps) {
    DType wide = x.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor own = weight.detach().to(wide);
    Tensor inverse = Tensor.empty(wide, Device.CPU, x.size(0), 1);
    Tensor y = Tensor.empty(x.dtype(), Device.CPU, x.shape());
    Workers.rows(
        x.size(0),
        BLOCK,
        (start, n) -> {
          Tensor rows = x.narrow(0, start, n).to(wide);
          Tensor inv = rows.square().mean(-1, true).addInPlace(eps).rsqrt();
          inverse.narrow(0, start, n).copyInPlace(inv);
          y.narrow(0, start, n).mulInto(rows.mul(inv), own);
        });
    return new OwnGradient.Result(
        y,
        (dy, needed) -> new @Nullable Tensor[] {backward(x, inverse, weight, dy.contiguous())},
        x,
        inverse);
  }

  /** With z = x / rms: dx = (g - z mean(g z)) / rms where g = dy w; dw = sum of dy z. */
  private static Tensor backward(Tensor x, Tensor inverse, Tensor weight, Tensor dy) {
    DType wide = inverse.dtype();
    long d = x.size(1);
    Tensor w = weight.detach().to(wide);
    Tensor column = w.unsqueeze(1);
    Tensor dx = Tensor.empty(x.dtype(), Device.CPU, x.shape());
    Tensor parts = Tensor.empty(wide, Device.CPU, (x.size(0) + BLOCK - 1) / BLOCK, d);
    Workers.rows(
        x.size(0),
        BLOCK,
        (start, n) -> {
          Tensor g = dy.narrow(0, start, n).to(wide);
          Tensor inv = inverse.narrow(0, start, n);
          Tensor z = x.narrow(0, start, n).to(wide).mul(inv);
          Tensor gz = z.mul(g);
          parts.narrow(0, start / BLOCK, 1).copyInPlace(gz.sum(0, true));
          Tensor mean = gz.mm(column).mulInPlace(1.0 / (double) d);
          Tensor out = g.mul(w).addInPlace(z.mulInPlace(mean), -1).mulInPlace(inv);
          dx.narrow(0, start, n).copyInPlace(out);
        });
    if (weight.requiresGrad()) {
      Tensor dw = parts.sum(0, false).to(weight.dtype());
      weight.grad().ifPresentOrElse(g -> g.addInPlace(dw), () -> weight.setGrad(dw));
    }
    return dx;
  }
}
