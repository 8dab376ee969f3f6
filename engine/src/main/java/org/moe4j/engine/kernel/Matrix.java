package org.moe4j.engine.kernel;

/**
 * A packed matrix of weights: it multiplies rows of activations, panel by panel of {@link #PANEL}
 * of its rows. Panels can be taken in any order and by any thread; a product's bits depend on
 * neither, nor on how many rows of activations are multiplied at once.
 */
public interface Matrix {
  /** Rows of a panel. */
  int PANEL = 64;

  /** How many numbers a product has. */
  int rows();

  /** How many numbers a row of activations has. */
  int columns();

  /** True if it takes activations in 8 bits: {@link Activations#quantise} them first. */
  boolean eightBit();

  /** Bytes of memory. */
  long bytes();

  /**
   * Products with rows of one panel.
   *
   * @param panel rows {@code panel * PANEL} and following
   * @param rows which rows of {@code x}: {@code count} of them from index {@code from}
   * @param out receives for each of them in turn {@link #PANEL} numbers, of which those beyond
   *     {@link #rows} mean nothing; at least {@code count * PANEL} long
   */
  void multiply(int panel, Activations x, int[] rows, int from, int count, float[] out);

  /**
   * The same for panels that follow one another, as many as can be had at once: what lies between
   * two calls costs as much as memory gives some kilobytes in.
   *
   * @param most panels that are wanted
   * @param out receives {@code count * PANEL} numbers of each panel in turn; as long as for one at
   *     least
   * @return for how many panels, at least one
   */
  default int multiply(
      int panel, int most, Activations x, int[] rows, int from, int count, float[] out) {
    multiply(panel, x, rows, from, count, out);
    return 1;
  }

  /** How many panels it has. */
  default int panels() {
    return Math.ceilDiv(rows(), PANEL);
  }
}
