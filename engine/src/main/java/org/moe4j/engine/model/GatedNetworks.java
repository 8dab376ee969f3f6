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
  private final int width;
  private final int hiddenWidth;
  private final Products products;
  private final Activations hidden;
  private float[] out = {};

  /** Networks of {@code hiddenWidth} between {@code width}. */
  GatedNetworks(int width, int hiddenWidth, Products products) {
    this.width = width;
    this.hiddenWidth = hiddenWidth;
    this.products = products;
    this.hidden = new Activations(hiddenWidth);
  }

  /**
   * Network i takes rows {@code rows[starts[i]]} to {@code rows[starts[i + 1] - 1]} of {@code
   * input}.
   *
   * @return the results, in the order of {@code rows}, {@code width} numbers each
   */
  float[] run(Activations input, int[] rows, int[] starts, List<Expert> networks) {
    int places = starts[networks.size()];
    if (out.length < places * width) {
      out = new float[places * width];
      hidden.reserve(places);
    }
    int panels = networks.getFirst().gate().panels();
    products
        .workers()
        .run(
            networks.size() * panels,
            (job, worker) -> {
              int i = job / panels;
              int count = starts[i + 1] - starts[i];
              gateUp(networks.get(i), job % panels, input, rows, starts[i], count, worker);
            });
    products.each(places, (place, worker) -> hidden.quantise(place));
    int downPanels = networks.getFirst().down().panels();
    products
        .workers()
        .run(
            networks.size() * downPanels,
            (job, worker) -> {
              int i = job / downPanels;
              int count = starts[i + 1] - starts[i];
              Matrix m = networks.get(i).down();
              float[] scratch = products.scratch(worker);
              m.multiply(job % downPanels, hidden, products.rows(), starts[i], count, scratch);
              Products.scatter(scratch, count, m, job % downPanels, out, starts[i]);
            });
    return out;
  }

  private void gateUp(
      Expert network, int panel, Activations input, int[] rows, int from, int count, int worker) {
    float[] gate = products.scratch(worker);
    float[] up = products.scratch2(worker);
    network.gate().multiply(panel, input, rows, from, count, gate);
    network.up().multiply(panel, input, rows, from, count, up);
    Attention.swiglu(gate, 0, up, 0, count * Matrix.PANEL);
    int at = panel * Matrix.PANEL;
    int numbers = Math.min(Matrix.PANEL, hiddenWidth - at);
    for (int i = 0; i < count; i++) {
      int to = hidden.at(from + i) + at;
      System.arraycopy(gate, i * Matrix.PANEL, hidden.values(), to, numbers);
    }
  }
}
