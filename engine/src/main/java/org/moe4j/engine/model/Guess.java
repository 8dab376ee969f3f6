package org.moe4j.engine.model;

import java.util.Comparator;
import java.util.List;
import java.util.stream.IntStream;
import org.moe4j.engine.kernel.Activations;

/**
 * Guesses which experts the next layer will pick: its own norm and router, given the hidden states
 * before this layer's experts are added, which change them little (Eliseev and Mazur, 2023, section
 * 3.2). It only says what to fetch; what is computed does not depend on it.
 */
final class Guess {
  /** Tokens of a step that are looked at: of many, some ask for nearly all experts already. */
  private static final int MOST = 16;

  private final Shape shape;
  private final List<Layer> layers;
  private final ExpertSource source;
  private final Products products;
  private final Activations input;
  private final float[] logits;

  Guess(Shape shape, List<Layer> layers, ExpertSource source, Products products) {
    this.shape = shape;
    this.layers = layers;
    this.source = source;
    this.products = products;
    this.input = new Activations(shape.width());
    this.logits = new float[MOST * shape.experts()];
    input.reserve(MOST);
  }

  /** Tells the source what will likely be asked for after layer {@code index}. */
  void after(int index, HiddenStates states) {
    int next = index + 1;
    if (source.ahead() == 0 || next == layers.size() || layers.get(next).router().isEmpty()) {
      return;
    }
    Layer layer = layers.get(next);
    int n = Math.min(MOST, states.count());
    for (int t = 0; t < n; t++) {
      states.normalise(t, layer.forwardNorm(), input, t);
    }
    products.multiply(input, n, layer.router(), List.of(logits));
    source.guess(next, likeliest(n));
  }

  /** Experts by how many tokens would pick them, the higher logit first if equally many. */
  private int[] likeliest(int n) {
    int[] picks = new int[shape.experts()];
    float[] most = new float[shape.experts()];
    for (int t = 0; t < n; t++) {
      int row = t * shape.experts();
      IntStream.range(0, shape.experts())
          .boxed()
          .sorted(Comparator.comparingDouble(e -> -logits[row + e]))
          .limit(shape.used())
          .forEach(
              e -> {
                most[e] = picks[e]++ == 0 ? logits[row + e] : Math.max(most[e], logits[row + e]);
              });
    }
    return IntStream.range(0, shape.experts())
        .filter(e -> picks[e] > 0)
        .boxed()
        .sorted(Comparator.comparingInt((Integer e) -> -picks[e]).thenComparingDouble(e -> -most[e]))
        .mapToInt(e -> e)
        .toArray();
  }
}
