package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Attention;
import org.moe4j.engine.kernel.Matrix;

/**
 * Runs gated feed-forward networks of one width side by side, each for rows of its own, so that the
 * weights of each are read once.
 */
final class GatedNetworks {
  private static final float SLOPE = 1.702f;
  private static final float LIMIT = 7;

  private final int width;
  private final int hiddenWidth;
  private final boolean clamped;
  private final Products products;
  private final Activations hidden;
  private float[] out = {};

  /**
   * Networks of {@code hiddenWidth} between {@code width}.
   *
   * @param clamped whether they are those of gpt-oss
   */
  GatedNetworks(int width, int hiddenWidth, boolean clamped, Products products) {
    this.clamped = clamped;
    this.width = width;
    this.hiddenWidth = hiddenWidth;
    this.products = products;
    this.hidden = new Activations(hiddenWidth);
  }

  /**
   * Makes room for {@code places} rows of results.
   *
   * @return where {@link #run} puts them, {@code width} numbers each
   */
  float[] reserve(int places) {
    if (out.length < places * width) {
      out = new float[places * width];
      hidden.reserve(places);
    }
    return out;
  }

  /**
   * Network i takes the rows of part {@code p = which[i]}: {@code rows[starts[p]]} to {@code
   * rows[starts[p + 1] - 1]} of {@code input}. Its results get the places {@code starts[p]} and
   * following.
   */
  void run(Activations input, int[] rows, int[] starts, int[] which, List<Expert> networks) {
    int panels = networks.getFirst().gate().panels();
    int places = 0;
    for (int p : which) {
      places += starts[p + 1] - starts[p];
    }
    int each = Math.ceilDiv(places, networks.size());
    int jobs = networks.size() * panels;
    products
        .workers()
        .run(
            jobs,
            Math.ceilDiv(products.chunk(networks.getFirst().gate(), each, jobs), 2),
            (begin, end, worker) -> {
              for (int job = begin; job < end; ) {
                int i = job / panels;
                int from = starts[which[i]];
                int count = starts[which[i] + 1] - from;
                int most = Math.min(end, (i + 1) * panels) - job;
                Expert network = networks.get(i);
                job += gateUp(network, job % panels, most, input, rows, from, count, worker);
              }
            });
    int downPanels = networks.getFirst().down().panels();
    products
        .workers()
        .run(
            networks.size() * downPanels,
            products.chunk(networks.getFirst().down(), each, networks.size() * downPanels),
            (begin, end, worker) -> {
              for (int job = begin; job < end; ) {
                int i = job / downPanels;
                int from = starts[which[i]];
                int count = starts[which[i] + 1] - from;
                int most = Math.min(end, (i + 1) * downPanels) - job;
                Affine down = networks.get(i).affineDown();
                int panel = job % downPanels;
                job += products.multiply(down, panel, most, hidden, from, count, out, from, worker);
              }
            });
  }

  /**
   * Hidden numbers of a panel, and perhaps some following ones.
   *
   * @return how many panels, {@code most} at most
   */
  private int gateUp(
      Expert network,
      int panel,
      int most,
      Activations input,
      int[] rows,
      int from,
      int count,
      int worker) {
    float[] gate = products.scratch(worker);
    float[] up = products.scratch2(worker);
    int some = network.gate().multiply(panel, most, input, rows, from, count, gate);
    int done = network.up().multiply(panel, some, input, rows, from, count, up);
    for (int i = 0; i < done; i++) {
      int at = i * count * Matrix.PANEL;
      Products.shift(gate, at, count, network.biases().gate(), panel + i);
      Products.shift(up, at, count, network.biases().up(), panel + i);
    }
    if (clamped) {
      clamp(gate, up, done * count * Matrix.PANEL);
    }
    Attention.swiglu(gate, 0, up, 0, done * count * Matrix.PANEL);
    for (int i = 0; i < done; i++) {
      keep(gate, i * count * Matrix.PANEL, (panel + i) * Matrix.PANEL, from, count);
    }
    return done;
  }

  /** Puts a panel's numbers into places {@code from} and following, in 8 bits too. */
  private void keep(float[] numbers, int first, int column, int from, int count) {
    int width = Math.min(Matrix.PANEL, hiddenWidth - column);
    for (int i = 0; i < count; i++) {
      int to = hidden.at(from + i) + column;
      System.arraycopy(numbers, first + i * Matrix.PANEL, hidden.values(), to, width);
      hidden.quantise(from + i, column, width);
    }
  }

  /**
   * Makes (up + 1) gate sigmoid(1.702 gate) of clamped numbers, which gpt-oss computes, a plain
   * product with silu: that of 1.702 gate is 1.702 times too large.
   */
  private static void clamp(float[] gate, float[] up, int count) {
    for (int i = 0; i < count; i++) {
      gate[i] = SLOPE * Math.min(gate[i], LIMIT);
      up[i] = (Math.clamp(up[i], -LIMIT, LIMIT) + 1) / SLOPE;
    }
  }
}
