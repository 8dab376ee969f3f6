package org.moe4j.engine.kernel;

/** The inner loops of attention; every implementation and width gives the same bits. */
interface AttentionKernels {
  /** See {@link Attention#scores}. */
  void scores(int[] keys, int at, float[] q, int qAt, int size, float[] out, int to);

  /** See {@link Attention#values}. */
  void values(
      int[] values,
      int at,
      int stride,
      int half,
      float[] weights,
      int from,
      int count,
      float[] out,
      int to);

  /** e^(x scale - most) in place. */
  void exponentials(float[] x, int count, float scale, float most);

  /** See {@link Attention#swiglu}. */
  void swiglu(float[] gate, int at, float[] up, int upAt, int count);
}
