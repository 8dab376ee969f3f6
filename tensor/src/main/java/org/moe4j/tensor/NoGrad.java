package org.moe4j.tensor;

import org.bytedeco.pytorch.GradMode;

/** Switches gradient recording off on this thread until closed; nests. */
public final class NoGrad implements AutoCloseable {
  static {
    NativeRuntime.prepare();
  }

  private final boolean before = GradMode.is_enabled();

  private NoGrad() {
    GradMode.set_enabled(false);
  }

  /** Switches recording off. */
  public static NoGrad open() {
    return new NoGrad();
  }

  /** True if operations on this thread are being recorded. */
  public static boolean recording() {
    return GradMode.is_enabled();
  }

  @Override
  public void close() {
    GradMode.set_enabled(before);
  }
}
