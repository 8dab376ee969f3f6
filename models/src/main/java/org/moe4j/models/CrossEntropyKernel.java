package org.moe4j.models;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.stream.LongStream;
import org.jspecify.annotations.Nullable;
import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.OwnGradient;
import org.moe4j.tensor.Products;
import org.moe4j.tensor.Tensor;
import org.moe4j.tensor.Workers;

/**
 * Output projection and cross-entropy as one function for the CPU. The gradient of the logits is
 * computed block by block right after the logits themselves, while they are in a core's cache, so
 * no logits are kept: only the gradients of the hidden states and of W.
 */
final class CrossEntropyKernel {
  /** Rows of a block. */
  private static final int BLOCK = 512;

  /** The most elements of logit gradients that are held at a time. */
  private static final long HELD = 1 << 24;

  private final Tensor weight;
  private final Tensor own;
  private final Tensor hidden;
  private final long[] targets;
  private final double scale;
  private final double[] losses;

  private CrossEntropyKernel(Tensor hidden, Tensor weight, long[] targets, double[] losses) {
    this.hidden = hidden;
    this.weight = weight;
    this.own = weight.detach().to(hidden.dtype());
    this.targets = targets;
    long counted = LongStream.of(targets).filter(t -> t != LmLoss.IGNORED).count();
    this.scale = 1.0 / (double) counted;
    this.losses = losses;
  }

  /** Mean loss of {@code hidden [T,d]} against {@code targets [T]}; W [V,d], a leaf. */
  static Tensor apply(Tensor hidden, Tensor weight, Tensor targets) {
    return apply(hidden, weight, targets, new double[Math.toIntExact(targets.numel())]);
  }

  /** As above; {@code losses [T]} receives the loss of each row, 0 where it is ignored. */
  static Tensor apply(Tensor hidden, Tensor weight, Tensor targets, double[] losses) {
    long[] wanted = targets.toLongs();
    return OwnGradient.apply(
        in -> new CrossEntropyKernel(in[0].contiguous(), weight, wanted, losses).forward(),
        weight.requiresGrad(),
        hidden);
  }

  private OwnGradient.Result forward() {
    boolean gradients = OwnGradient.wanted();
    Tensor dHidden =
        Tensor.empty(hidden.dtype(), Device.CPU, gradients ? hidden.size(0) : 0, hidden.size(1));
    boolean weightToo = gradients && weight.requiresGrad();
    Tensor dWeight =
        Tensor.empty(weight.dtype(), Device.CPU, weightToo ? weight.size(0) : 0, weight.size(1));
    long vocabulary = weight.size(0);
    long held = Math.max(BLOCK, HELD / vocabulary);
    for (long from = 0; from < targets.length; from += held) {
      long begin = from;
      long count = Math.min(held, targets.length - from);
      Tensor dLogits = Tensor.empty(hidden.dtype(), Device.CPU, gradients ? count : 0, vocabulary);
      Workers.rows(
          count,
          BLOCK,
          (start, n) -> {
            Tensor logits = hidden.narrow(0, begin + start, n).mm(own.t());
            Tensor d = lossAndGradient(logits, (int) (begin + start), gradients);
            if (gradients) {
              Tensor dRow = dLogits.narrow(0, start, n).copyInPlace(d);
              dHidden.narrow(0, begin + start, n).mmInto(dRow, own);
            }
          });
      if (weightToo) {
        Tensor rows = hidden.narrow(0, from, count);
        if (from == 0) {
          Products.into(dWeight, dLogits.t(), rows);
        } else {
          Products.addInto(dWeight, dLogits.t(), rows);
        }
      }
      dLogits.free();
    }
    double total = 0;
    for (double loss : losses) {
      total += loss;
    }
    DType type = hidden.dtype() == DType.F64 ? DType.F64 : DType.F32;
    return new OwnGradient.Result(
        Tensor.scalar(total * scale, type),
        (dy, needed) -> backward(dy.item(), dHidden, dWeight),
        dHidden,
        dWeight);
  }

  /** Fills the losses of these rows and returns the gradient of their logits. */
  private Tensor lossAndGradient(Tensor logits, int first, boolean gradients) {
    boolean f64 = logits.dtype() == DType.F64;
    Tensor p = (f64 ? logits : logits.to(DType.F32)).logSoftmax(1);
    MemorySegment memory = p.segment();
    long columns = p.size(1);
    int rows = (int) p.size(0);
    for (int i = 0; i < rows; i++) {
      long target = targets[first + i];
      if (target != LmLoss.IGNORED) {
        losses[first + i] = -at(memory, f64, i * columns + target);
      }
    }
    if (!gradients) {
      return p;
    }
    p.expInPlace();
    for (int i = 0; i < rows; i++) {
      long target = targets[first + i];
      if (target == LmLoss.IGNORED) {
        p.narrow(0, i, 1).fillInPlace(0);
      } else {
        subtractOne(memory, f64, i * columns + target);
      }
    }
    return p.mulInPlace(scale);
  }

  private static double at(MemorySegment memory, boolean f64, long index) {
    return f64
        ? memory.getAtIndex(ValueLayout.JAVA_DOUBLE, index)
        : memory.getAtIndex(ValueLayout.JAVA_FLOAT, index);
  }

  private static void subtractOne(MemorySegment memory, boolean f64, long index) {
    if (f64) {
      double value = memory.getAtIndex(ValueLayout.JAVA_DOUBLE, index);
      memory.setAtIndex(ValueLayout.JAVA_DOUBLE, index, value - 1);
    } else {
      float value = memory.getAtIndex(ValueLayout.JAVA_FLOAT, index);
      memory.setAtIndex(ValueLayout.JAVA_FLOAT, index, value - 1);
    }
  }

  private @Nullable Tensor[] backward(double factor, Tensor dHidden, Tensor dWeight) {
    if (factor != 1) {
      dHidden.mulInPlace(factor);
      dWeight.mulInPlace(factor);
    }
    if (weight.requiresGrad()) {
      weight.grad().ifPresentOrElse(g -> g.addInPlace(dWeight), () -> weight.setGrad(dWeight));
    }
    return new @Nullable Tensor[] {dHidden};
  }
}
