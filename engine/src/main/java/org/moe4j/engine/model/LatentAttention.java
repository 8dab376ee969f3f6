package org.moe4j.engine.model;

import java.util.List;
import org.moe4j.engine.kernel.Activations;
import org.moe4j.engine.kernel.Matrix;
import org.moe4j.engine.model.AttentionShape.LatentShape;
import org.moe4j.engine.model.Layer.LatentWeights;

/**
 * Multi-head latent attention (DeepSeek-AI, 2024, section 2.1) with the matrices of keys and values
 * applied to queries and results, so that all heads attend to the same latent vectors.
 */
final class LatentAttention {
  private final AttentionShape shape;
  private final LatentShape latent;
  private final float epsilon;
  private final Products products;
  private final Rotary rotary;
  private final CachedAttention attention;
  private final Activations plain;
  private final Activations seen;
  private Activations compressed = new Activations(0);
  private float[] down = {};
  private float[] compressedRows = {};
  private float[] raw = {};
  private float[] queries = {};

  LatentAttention(
      AttentionShape shape, LatentShape latent, float epsilon, Rotary rotary, Products products) {
    this.shape = shape;
    this.latent = latent;
    this.epsilon = epsilon;
    this.products = products;
    this.rotary = rotary;
    this.attention = new CachedAttention(shape, products);
    this.plain = new Activations(latent.plain());
    this.seen = new Activations(latent.rank());
  }

  private void reserve(int n) {
    if (down.length < n * shape.keySize()) {
      down = new float[n * shape.keySize()];
      raw = new float[n * shape.heads() * latent.querySize()];
      queries = new float[n * shape.heads() * shape.keySize()];
      plain.reserve(n * shape.heads());
      seen.reserve(n * shape.heads());
    }
  }

  /** Stores latent vectors of layer {@code index} and puts what the heads see into {@code to}. */
  void run(int index, LatentWeights w, Activations input, HiddenStates states, Activations to) {
    int n = states.count();
    reserve(n);
    project(w, input, n);
    products.each(n, (t, worker) -> prepare(w, t, n));
    attention.store(index, states, down, shape.keySize(), down, shape.keySize());
    perHead(w.keyUp(), plain, n, queries, shape.heads() * shape.keySize(), shape.keySize());
    attention.run(
        index, states, queries, new float[0], seen.values(), (t, head) -> seen.at(head * n + t));
    products.each(n * shape.heads(), (row, worker) -> seen.quantise(row));
    perHead(w.valueUp(), seen, n, to.values(), to.at(1), latent.valueSize());
  }

  private void project(LatentWeights w, Activations input, int n) {
    if (w.queryDown().isEmpty()) {
      products.multiply(input, n, List.of(w.query(), w.down()), List.of(raw, down));
      return;
    }
    int rank = w.queryNorm().size();
    if (compressed.columns() != rank || compressedRows.length < n * rank) {
      compressed = new Activations(rank);
      compressed.reserve(n);
      compressedRows = new float[n * rank];
    }
    products.multiply(
        input, n, List.of(w.queryDown().get(), w.down()), List.of(compressedRows, down));
    products.each(
        n,
        (t, worker) -> {
          int to = compressed.at(t);
          w.queryNorm().apply(compressedRows, t * rank, epsilon, compressed.values(), to);
          compressed.quantise(t);
        });
    products.multiply(compressed, n, List.of(w.query()), List.of(raw));
  }

  /** Norm and rotation of a token; its plain queries become rows of their own, head by head. */
  private void prepare(LatentWeights w, int t, int n) {
    int row = t * shape.keySize();
    w.norm().apply(down, row, epsilon, down, row);
    rotary.turn(down, row + latent.rank(), 1, 0, t);
    int size = latent.querySize();
    int first = t * shape.heads() * size;
    rotary.turn(raw, first + latent.plain(), shape.heads(), size, t);
    for (int head = 0; head < shape.heads(); head++) {
      int from = first + head * size;
      int to = (t * shape.heads() + head) * shape.keySize() + latent.rank();
      System.arraycopy(raw, from + latent.plain(), queries, to, latent.rotated());
      System.arraycopy(raw, from, plain.values(), plain.at(head * n + t), latent.plain());
      plain.quantise(head * n + t);
    }
  }

  /**
   * Product of each head's matrix with its rows.
   *
   * @param from of head h rows {@code h n} and following
   * @param to receives the product of token t and head h from index {@code t stride + h size} on
   */
  private void perHead(
      List<Matrix> matrices, Activations from, int n, float[] to, int stride, int size) {
    int panels = matrices.getFirst().panels();
    products
        .workers()
        .run(
            matrices.size() * panels,
            (job, worker) -> {
              int head = job / panels;
              Matrix m = matrices.get(head);
              float[] scratch = products.scratch(worker);
              m.multiply(job % panels, from, products.rows(), head * n, n, scratch);
              int at = job % panels * Matrix.PANEL;
              int width = Math.min(Matrix.PANEL, m.rows() - at);
              for (int t = 0; t < n; t++) {
                int place = t * stride + head * size + at;
                System.arraycopy(scratch, t * Matrix.PANEL, to, place, width);
              }
            });
  }
}
