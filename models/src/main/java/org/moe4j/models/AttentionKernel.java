package org.moe4j.models;

import java.util.List;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.NativeOp;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * Rotary positions and causal attention of whole sequences as one function for the CPU, sequence by
 * sequence over the workers. The rotated queries and keys are not kept: turning them again is
 * cheaper than fetching them from memory.
 */
final class AttentionKernel {
  private static final NativeOp FORWARD =
      NativeOp.of("_scaled_dot_product_flash_attention_for_cpu");
  private static final NativeOp BACKWARD =
      NativeOp.of("_scaled_dot_product_flash_attention_for_cpu_backward");

  private final int heads;
  private final int kvHeads;
  private final Tensor cos;
  private final Tensor sin;

  private AttentionKernel(int heads, int kvHeads, Tensor cos, Tensor sin) {
    this.heads = heads;
    this.kvHeads = kvHeads;
    this.cos = cos;
    this.sin = sin;
  }

  /**
   * The pair of passes of attention from position 0, without recording.
   *
   * @param q [B,S,H*D]
   * @param k [B,S,K*D]
   * @param v [B,S,K*D]
   * @param rope cosines and sines are taken from here
   * @return an output [B,S,H*D]
   */
  static OwnGradient.Result forward(
      Tensor q, Tensor k, Tensor v, int heads, int kvHeads, Rope rope) {
    return new AttentionKernel(heads, kvHeads, rope.cosines(q.size(1)), rope.sines(q.size(1)))
        .forward(q, k, v);
  }

  private OwnGradient.Result forward(Tensor q, Tensor k, Tensor v) {
    Tensor y = Tensor.empty(q.dtype(), Device.CPU, q.shape());
    // libtorch's kernels are faster in F32 than in BF16, conversions included.
    DType wide = q.dtype() == DType.F64 ? DType.F64 : DType.F32;
    Tensor logsumexp = Tensor.empty(wide, Device.CPU, q.size(0), q.size(1), heads);
    Workers.run(
        (int) q.size(0),
        b -> {
          List<Tensor> out =
              FORWARD.callAll(
                  turned(split(q, b, heads).to(wide), 1).unsqueeze(0),
                  shared(turned(split(k, b, kvHeads).to(wide), 1)).unsqueeze(0),
                  shared(split(v, b, kvHeads).to(wide)).unsqueeze(0),
                  0.0,
                  true,
                  null,
                  null);
          split(y, b, heads).copyInPlace(out.get(0).squeeze(0));
          logsumexp.select(0, b).transpose(0, 1).copyInPlace(out.get(1).squeeze(0));
        });
    return new OwnGradient.Result(
        y, (dy, needed) -> backward(q, k, v, y, logsumexp, dy), q, k, v, y, logsumexp, cos, sin);
  }

  private @Nullable Tensor[] backward(
      Tensor q, Tensor k, Tensor v, Tensor y, Tensor logsumexp, Tensor dy) {
    Tensor dq = Tensor.empty(q.dtype(), Device.CPU, q.shape());
    Tensor dk = Tensor.empty(k.dtype(), Device.CPU, k.shape());
    Tensor dv = Tensor.empty(v.dtype(), Device.CPU, v.shape());
    DType wide = logsumexp.dtype();
    Workers.run(
        (int) q.size(0),
        b -> {
          List<Tensor> gradients =
              BACKWARD.callAll(
                  split(dy, b, heads).to(wide).unsqueeze(0),
                  turned(split(q, b, heads).to(wide), 1).unsqueeze(0),
                  shared(turned(split(k, b, kvHeads).to(wide), 1)).unsqueeze(0),
                  shared(split(v, b, kvHeads).to(wide)).unsqueeze(0),
                  split(y, b, heads).to(wide).unsqueeze(0),
                  logsumexp.select(0, b).transpose(0, 1).unsqueeze(0),
                  0.0,
                  true,
                  null,
                  null);
          split(dq, b, heads).copyInPlace(turned(gradients.get(0).squeeze(0), -1));
          split(dk, b, kvHeads).copyInPlace(turned(gathered(gradients.get(1).squeeze(0)), -1));
          split(dv, b, kvHeads).copyInPlace(gathered(gradients.get(2).squeeze(0)));
        });
    return new @Nullable Tensor[] {dq, dk, dv};
  }

  /** Sequence b as [heads,S,D], a view. */
  private static Tensor split(Tensor x, int b, int heads) {
    return x.select(0, b).view(x.size(1), heads, x.size(2) / heads).transpose(0, 1);
  }

  /** [K,S,D] as seen by the H query heads. */
  private Tensor shared(Tensor x) {
    return heads == kvHeads ? x : x.repeatInterleave(heads / kvHeads, 0);
  }

  /** Gradients of the H query heads summed for the K key heads. */
  private Tensor gathered(Tensor dx) {
    return heads == kvHeads
        ? dx
        : dx.reshape(kvHeads, heads / kvHeads, dx.size(1), dx.size(2)).sum(1, false);
  }

  /** Every pair of channels (j, j + D/2) turned by its angle, or back for direction -1. */
  private Tensor turned(Tensor x, int direction) {
    long half = x.size(2) / 2;
    Tensor c = cos.to(x.dtype());
    Tensor s = sin.to(x.dtype());
    Tensor a = x.narrow(2, 0, half);
    Tensor b = x.narrow(2, half, half);
    Tensor y = Tensor.empty(x.dtype(), Device.CPU, x.shape());
    y.narrow(2, 0, half).mulInto(a, c).addInPlace(b.mul(s), -direction);
    y.narrow(2, half, half).mulInto(b, c).addInPlace(a.mul(s), direction);
    return y;
  }
}
