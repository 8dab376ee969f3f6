package org.moe4j.engine.model;

import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
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
    int[] places =
        Arrays.stream(which).flatMap(p -> IntStream.range(starts[p], starts[p + 1])).toArray();
    int each = Math.ceilDiv(places.length, networks.size());
    int jobs = networks.size() * panels;
    products
        .workers()
        .run(
            jobs,
            Math.ceilDiv(products.chunk(networks.getFirst().gate(), each, jobs), 2),
            (job, worker) -> {
              int i = job / panels;
              int from = starts[which[i]];
              int count = starts[which[i] + 1] - from;
              gateUp(networks.get(i), job % panels, input, rows, from, count, worker);
            });
    products.each(places.length, (i, worker) -> hidden.quantise(places[i]));
    int downPanels = networks.getFirst().down().panels();
    products
        .workers()
        .run(
            networks.size() * downPanels,
            products.chunk(networks.getFirst().down(), each, networks.size() * downPanels),
            (job, worker) -> {
              int i = job / downPanels;
              int from = starts[which[i]];
              int count = starts[which[i] + 1] - from;
              Matrix m = networks.get(i).down();
              float[] scratch = products.scratch(worker);
              m.multiply(job % downPanels, hidden, products.rows(), from, count, scratch);
              Products.shift(scratch, count, networks.get(i).biases().down(), job % downPanels);
              Products.scatter(scratch, count, m, job % downPanels, out, from);
            });
  }

  private void gateUp(
      Expert network, int panel, Activations input, int[] rows, int from, int count, int worker) {
    float[] gate = products.scratch(worker);
    float[] up = products.scratch2(worker);
    network.gate().multiply(panel, input, rows, from, count, gate);
    network.up().multiply(panel, input, rows, from, count, up);
    Products.shift(gate, count, network.biases().gate(), panel);
    Products.shift(up, count, network.biases().up(), panel);
    if (clamped) {
      clamp(gate, up, count * Matrix.PANEL);
    }
    Attention.swiglu(gate, 0, up, 0, count * Matrix.PANEL);
    int at = panel * Matrix.PANEL;
    int numbers = Math.min(Matrix.PANEL, hiddenWidth - at);
    for (int i = 0; i < count; i++) {
      int to = hidden.at(from + i) + at;
      System.arraycopy(gate, i * Matrix.PANEL, hidden.values(), to, numbers);
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
