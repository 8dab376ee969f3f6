package org.moe4j.tensor;

import org.bytedeco.pytorch.Generator;
import org.bytedeco.pytorch.GeneratorOptional;
import org.bytedeco.pytorch.global.torch;

/**
 * A seeded stream of random numbers. There is no global seed: whoever needs chance is given a
 * source. Numbers are drawn on the CPU and moved, so a seed means the same on every device. The
 * state can be saved and restored; a source is for one thread.
 */
public final class RandomSource {
  static {
    NativeRuntime.prepare();
  }

  private final Generator generator;

  /** A source that starts at {@code seed}. */
  public RandomSource(long seed) {
    try (Scope scope = Scope.open()) {
      generator = torch.make_generator_cpu(seed);
      generator.retainReference();
    }
  }

  /** Numbers uniform in [low, high). */
  public Tensor uniform(double low, double high, DType dtype, long... shape) {
    return Tensor.empty(dtype, Device.CPU, shape).uniformInPlace(low, high, optional());
  }

  /** F32 numbers uniform in [0, 1). */
  public Tensor uniform(long... shape) {
    return uniform(0, 1, DType.F32, shape);
  }

  /** Normally distributed numbers. */
  public Tensor normal(double mean, double std, DType dtype, long... shape) {
    return Tensor.empty(dtype, Device.CPU, shape).normalInPlace(mean, std, optional());
  }

  /** F32 numbers of the standard normal distribution. */
  public Tensor normal(long... shape) {
    return normal(0, 1, DType.F32, shape);
  }

  /**
   * Normal numbers with the given deviation before truncation, redrawn beyond two deviations (the
   * truncated normal of the Switch and ST-MoE initialisations).
   */
  public Tensor truncatedNormal(double std, DType dtype, long... shape) {
    // Inverse transform: u uniform between the cut-offs' probabilities, x = std sqrt(2)
    // erfinv(2u-1).
    double tail = 0.9544997361036416; // erf(2 / sqrt 2): the mass within two deviations
    return Scope.of(
        () -> {
          Tensor u = uniform(-tail, tail, DType.F64, shape);
          return new Tensor(u.at.erfinv()).mul(std * Math.sqrt(2)).to(dtype);
        });
  }

  /** A random order of {@code 0 .. n-1}, I64. */
  public Tensor permutation(long n) {
    return new Tensor(torch.randperm(n, optional(), Tensor.options(DType.I64, Device.CPU)));
  }

  /** The next 63-bit number, for instance to seed another source. */
  public long nextSeed() {
    try (Scope scope = Scope.open()) {
      Tensor t = Tensor.empty(DType.I64, Device.CPU, 1);
      t.at.random_(0L, new org.bytedeco.pytorch.LongOptional(Long.MAX_VALUE), optional());
      return t.toLongs()[0];
    }
  }

  /** Everything that decides what comes next. */
  public byte[] state() {
    try (Scope scope = Scope.open()) {
      return new Tensor(generator.get_state()).toBytes();
    }
  }

  /**
   * Continues where {@code state} was taken.
   *
   * @throws MoeException if the bytes are not a state of such a source
   */
  public void restore(byte[] state) {
    try (Scope scope = Scope.open()) {
      generator.set_state(Tensor.of(state).at);
    } catch (RuntimeException e) {
      throw new MoeException("not a random state: " + state.length + " bytes", e);
    }
  }

  private GeneratorOptional optional() {
    return new GeneratorOptional(generator);
  }
}
