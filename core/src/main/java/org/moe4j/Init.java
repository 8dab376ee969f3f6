package org.moe4j;

import org.moe4j.tensor.DType;
import org.moe4j.tensor.Device;
import org.moe4j.tensor.RandomSource;
import org.moe4j.tensor.Tensor;

/** How a parameter starts. */
@FunctionalInterface
public interface Init {
  /** F32 values of the given shape on the CPU. */
  Tensor make(RandomSource random, long... shape);

  /** Zeros, as the gates of S01. */
  static Init zeros() {
    return constant(0);
  }

  /** One value everywhere. */
  static Init constant(double value) {
    return (random, shape) -> Tensor.full(value, DType.F32, Device.CPU, shape);
  }

  /** Normal with mean 0. */
  static Init normal(double std) {
    return (random, shape) -> random.normal(0, std, DType.F32, shape);
  }

  /** Uniform in [-bound, bound). */
  static Init uniform(double bound) {
    return (random, shape) -> random.uniform(-bound, bound, DType.F32, shape);
  }

  /** GShard's uniform of bound sqrt(3 / fan-in) (S05). */
  static Init gshard(long fanIn) {
    return uniform(Math.sqrt(3.0 / (double) fanIn));
  }

  /**
   * Truncated normal of deviation sqrt(scale / fan-in), redrawn beyond two deviations: scale 0.1 is
   * the small initialisation of Switch and ST-MoE (S06, S18), 1.0 T5's default.
   */
  static Init fanIn(double scale, long fanIn) {
    return (random, shape) ->
        random.truncatedNormal(Math.sqrt(scale / (double) fanIn), DType.F32, shape);
  }

  /** Kaiming-uniform with a = sqrt(5), the gate of DeepSeek's code (S36): bound 1/sqrt(fan-in). */
  static Init kaimingUniform(long fanIn) {
    return uniform(1 / Math.sqrt((double) fanIn));
  }
}
